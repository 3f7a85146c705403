//! The table on a terminal, with keys.

use std::time::{Duration, Instant};

use anyhow::Result;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Paragraph, Row as Line, Table, TableState};
use xen_ctrl::{DomId, Xenctrl};

use crate::sample::{Order, Sample, Sampler};
use crate::text::{COLUMNS, COUNT, cells, headline};

const KEYS: &str =
    "q quit   s sort by the next column   up, down select   p pause or unpause the selected domain";

/// What is on the screen.
struct Screen<'a> {
    xen: &'a Xenctrl,
    sample: Sample,
    order: Order,
    selected: TableState,
    /// What the last key led to.
    message: String,
}

/// Shows the table until somebody quits.
pub(crate) fn run(xen: &Xenctrl, sampler: &mut Sampler<'_>, interval: Duration, order: Order) -> Result<()> {
    let mut terminal = ratatui::try_init()?;
    let outcome = show(&mut terminal, xen, sampler, interval, order);
    ratatui::restore();
    outcome
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    xen: &Xenctrl,
    sampler: &mut Sampler<'_>,
    interval: Duration,
    order: Order,
) -> Result<()> {
    let selected = TableState::new().with_selected(0);
    let mut screen = Screen { xen, sample: sampler.sample()?, order, selected, message: String::new() };
    let mut next = Instant::now() + interval;
    loop {
        screen.order.sort(&mut screen.sample.rows);
        terminal.draw(|frame| screen.draw(frame))?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Press => {}
                Event::Key(key) if quits(key) => return Ok(()),
                Event::Key(key) => screen.press(key.code),
                _ => {} // drawing again is all that other events need
            }
        } else {
            screen.sample = sampler.sample()?;
            next = Instant::now() + interval;
        }
    }
}

fn quits(key: KeyEvent) -> bool {
    let interrupts = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    interrupts || key.code == KeyCode::Char('q')
}

impl Screen<'_> {
    fn press(&mut self, key: KeyCode) {
        match key {
            KeyCode::Up => self.selected.select_previous(),
            KeyCode::Down => self.selected.select_next(),
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.message = format!("sorted by {:?}", self.order).to_lowercase();
            }
            KeyCode::Char('p') => self.message = self.pause_or_unpause(),
            _ => {}
        }
    }

    /// Says what came of it.
    fn pause_or_unpause(&self) -> String {
        let Some(row) = self.selected.selected().and_then(|index| self.sample.rows.get(index)) else {
            return String::new();
        };
        if row.id == DomId::ZERO {
            return "domain 0 is where this runs: it cannot be paused".to_owned();
        }
        let domain = self.xen.domain(row.id);
        let (outcome, done) =
            if row.is_paused { (domain.unpause(), "unpaused") } else { (domain.pause(), "paused") };
        match outcome {
            Ok(()) => format!("domain {} is {done}", row.id),
            Err(error) => error.to_string(),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let areas = Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]);
        let [top, middle, bottom] = areas.areas(frame.area());
        frame.render_widget(Paragraph::new(headline(&self.sample)), top);
        let heading = line(COLUMNS.map(|(heading, _)| heading.to_owned()));
        let lines = self.sample.rows.iter().map(|row| line(cells(row)));
        let table = Table::new(lines, COLUMNS.map(|(_, width)| Constraint::Length(width)))
            .header(heading.style(Style::new().add_modifier(Modifier::BOLD)))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, middle, &mut self.selected);
        let message = if self.message.is_empty() { KEYS } else { &self.message };
        frame.render_widget(Paragraph::new(message), bottom);
    }
}

fn line(cells: [String; COUNT]) -> Line<'static> {
    let aligned = cells.into_iter().enumerate().map(|(column, text)| {
        let alignment = if column == 0 { Alignment::Left } else { Alignment::Right };
        Cell::from(Text::from(text).alignment(alignment))
    });
    Line::new(aligned)
}
