//! The devices of a guest, and which one a request is for.

use std::io::Write;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use xen_ctrl::devicemodel::{Buffering, DeviceModel, Io, IoHandler, IoreqServer, Request, ServerId};
use xen_ctrl::host::PciAddress;
use xen_foreignmem::MapCache;

use super::pci::{CONFIG_ADDRESS, ConfigAddress, ConfigSpace, Function, Identity, Registers, WINDOW};
use super::registers::RegisterBlock;
use super::state::{Saved, StateFile, take};
use super::uart::{self, Uart};
use super::virtio::block::Block;
use super::virtio::guest::XenGuest;
use super::virtio::pci::function as virtio_function;

/// Where the functions have their windows, until the guest moves them: between the memory of a small guest and what Xen has below
/// 4 GiB.
const WINDOWS: u32 = 0xe000_0000;
/// That of the Xen project. The devices are none that it has given numbers to.
const VENDOR: u16 = 0x5853;
/// Linux only believes in a PCI bus on which there is one of these.
const HOST_BRIDGE: Identity = Identity { vendor: VENDOR, device: 0xfff0, revision: 0, class: [0, 0, 6] };
const REGISTER_BLOCK: Identity =
    Identity { vendor: VENDOR, device: 0xfff1, revision: 0, class: [0, 0x80, 8] };
/// The beginning of a state file of this program.
const MAGIC: [u8; 4] = *b"XDM1";

/// A guest's devices, with the server by which they are asked.
#[derive(Debug)]
pub struct Devices<W: Write> {
    server: IoreqServer,
    memory: MapCache,
    machine: Machine<W>,
    /// Somebody has something to do that the guest does not wait for.
    is_busy: bool,
}

/// What the guest has.
#[derive(Debug)]
struct Machine<W: Write> {
    uart: Uart<W>,
    config_address: ConfigAddress,
    functions: Vec<Function>,
    file: Option<StateFile>,
    /// What goes into the file.
    state: Vec<u8>,
    server: ServerId,
}

/// What an address is: of which kind, and of which function.
#[derive(Clone, Copy, Debug)]
enum Target {
    Port,
    Memory,
    Config(PciAddress),
}

/// The devices while they serve a request.
struct Bus<'a, W: Write> {
    machine: &'a mut Machine<W>,
    server: &'a IoreqServer,
    target: Target,
}

impl<W: Write> Devices<W> {
    /// Becomes the devices of a guest that has not run yet, or goes on with what another process has left in the file. Everything that
    /// takes power over other domains is done then.
    ///
    /// # Errors
    /// If the file is not of this guest with such devices, or Xen refuses.
    pub fn attach(
        model: &DeviceModel,
        disk: Option<(Block, XenGuest)>,
        file: Option<(StateFile, Vec<u8>)>,
        output: W,
    ) -> Result<Self> {
        let (file, state) = file.map_or((None, Vec::new()), |(file, state)| (Some(file), state));
        let (server, mut machine) = if state.is_empty() {
            let server = model.create_ioreq_server(Buffering::Off)?;
            server.map_ports(uart::PORTS)?;
            server.map_ports(CONFIG_ADDRESS)?;
            let machine = Machine::new(Uart::new(output), disk, server.id());
            for function in &machine.functions {
                server.map_pci(function.address)?;
            }
            (server, machine)
        } else {
            let machine = Machine::restored(&state, model, disk, output)?;
            (model.adopt_ioreq_server(machine.server)?, machine)
        };
        machine.file = file;
        Ok(Self { server, memory: model.memory(256), machine, is_busy: true })
    }

    /// Requests come from now on. The file tells so. If they do already, this does nothing.
    ///
    /// # Errors
    /// If the guest is gone.
    pub fn enable(&mut self) -> Result<(), xen_ctrl::Error> {
        self.server.enable()?;
        self.machine.save(self.server.model());
        Ok(())
    }

    /// The server, whose file is readable when there are requests.
    pub fn server(&self) -> &IoreqServer {
        &self.server
    }

    /// How many bytes from outside the guest's serial port has room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.machine.uart.room()
    }

    /// Sends bytes to the guest's serial port, as many as there is [room](Self::room) for.
    pub fn type_in(&mut self, bytes: &[u8]) {
        self.machine.uart.receive(bytes);
        self.machine.save(self.server.model());
    }

    /// Whether there is something to do, be there requests or not.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Serves all requests that are there, and goes on with what has to be done besides.
    ///
    /// # Errors
    /// If the guest cannot be answered.
    pub fn serve(&mut self) -> Result<(), xen_ctrl::Error> {
        let Self { server, memory, machine, is_busy } = self;
        server.acknowledge()?;
        while let Some(request) = server.next_request() {
            machine.serve(request, server, memory)?;
        }
        *is_busy = machine.go_on();
        machine.save(server.model());
        Ok(())
    }
}

impl<W: Write> Machine<W> {
    fn new(uart: Uart<W>, disk: Option<(Block, XenGuest)>, server: ServerId) -> Self {
        let address = |device| PciAddress::new(0, 0, device, 0).unwrap_or_default();
        let function = |device, config, registers| Function { address: address(device), config, registers };
        let block = ConfigSpace::new(REGISTER_BLOCK).with_window(WINDOWS);
        let mut functions = vec![
            function(0, ConfigSpace::new(HOST_BRIDGE), None),
            function(1, block, Some(Box::new(RegisterBlock::default()))),
        ];
        functions
            .extend(disk.map(|(disk, guest)| virtio_function(address(2), WINDOWS + WINDOW, disk, guest)));
        let (config_address, state) = (ConfigAddress::default(), Vec::new());
        Self { uart, config_address, functions, file: None, state, server }
    }

    fn restored(
        state: &[u8],
        model: &DeviceModel,
        disk: Option<(Block, XenGuest)>,
        output: W,
    ) -> Result<Self> {
        let wrong = "the file has no state of this program";
        let mut from = state;
        let magic: [u8; 4] = take(&mut from).context(wrong)?;
        let domain = u16::from_le_bytes(take(&mut from).context(wrong)?);
        ensure!(magic == MAGIC, wrong);
        ensure!(domain == model.domain_id().get(), "the file has the state of domain {domain}");
        let server = ServerId::new(u16::from_le_bytes(take(&mut from).context(wrong)?));
        let uart = Uart::restored(output, &mut from).context(wrong)?;
        let mut machine = Self::new(uart, disk, server);
        machine.config_address.restore(&mut from).context(wrong)?;
        for function in &mut machine.functions {
            function.restore(&mut from).context(wrong)?;
        }
        ensure!(from.is_empty(), "the file has the state of more devices");
        Ok(machine)
    }

    /// Notes what is to outlive this process. One system call if it has changed.
    fn save(&mut self, model: &DeviceModel) {
        let Some(file) = &mut self.file else { return };
        self.state.clear();
        self.state.extend(MAGIC);
        self.state.extend(model.domain_id().get().to_le_bytes());
        self.state.extend(self.server.get().to_le_bytes());
        self.uart.save(&mut self.state);
        self.config_address.save(&mut self.state);
        for function in &self.functions {
            function.save(&mut self.state);
        }
        if let Err(error) = file.update(&self.state) {
            tracing::warn!(%error, "the state is not saved");
        }
    }

    fn serve(
        &mut self,
        request: Request<'_>,
        server: &IoreqServer,
        memory: &MapCache,
    ) -> Result<(), xen_ctrl::Error> {
        let target = match request.io() {
            Io::PciConfig { device, .. } => Target::Config(*device),
            Io::Memory(_) => Target::Memory,
            _ => Target::Port,
        };
        if *request.io() == Io::InvalidateMappings {
            self.registers().for_each(|registers| registers.forget_memory());
        }
        request.serve(memory, &mut Bus { machine: self, server, target })
    }

    fn registers(&mut self) -> impl Iterator<Item = &mut Box<dyn Registers>> {
        self.functions.iter_mut().filter_map(|function| function.registers.as_mut())
    }

    /// Whether there is more to do.
    fn go_on(&mut self) -> bool {
        self.registers().map(|registers| registers.go_on()).filter(|is_busy| *is_busy).count() > 0
    }

    fn function(&mut self, address: PciAddress) -> Option<&mut Function> {
        self.functions.iter_mut().find(|function| function.address == address)
    }

    /// The function behind an address in memory, and where its window begins.
    fn function_at(&mut self, address: u64) -> Option<(&mut Function, u64)> {
        let mut found = self.functions.iter_mut().filter_map(|function| {
            let window = function.config.window()?;
            window.contains(&address).then(|| (function, *window.start()))
        });
        found.next()
    }
}

impl<W: Write> Bus<'_, W> {
    /// The device that is meant, and the address as it counts.
    fn device(&mut self, address: u64) -> Option<(&mut dyn IoHandler, u64)> {
        let is_in =
            |ports: RangeInclusive<u16>| u16::try_from(address).is_ok_and(|port| ports.contains(&port));
        match self.target {
            Target::Port if is_in(uart::PORTS) => Some((&mut self.machine.uart, address)),
            Target::Port if is_in(CONFIG_ADDRESS) => Some((&mut self.machine.config_address, address)),
            Target::Port => None,
            Target::Memory => {
                let (function, start) = self.machine.function_at(address)?;
                Some((function.registers.as_deref_mut()?.handler(), address - start))
            }
            Target::Config(device) => Some((&mut self.machine.function(device)?.config, address)),
        }
    }

    fn windows(&self) -> Vec<Option<RangeInclusive<u64>>> {
        self.machine.functions.iter().map(|function| function.config.window()).collect()
    }

    /// Tells Xen where functions have their registers now.
    fn move_windows(&self, before: Vec<Option<RangeInclusive<u64>>>) {
        for (old, new) in before.into_iter().zip(self.windows()).filter(|(old, new)| old != new) {
            let removed = old.map_or(Ok(()), |old| self.server.unmap_memory(old));
            // A guest can have two windows at one place, and then the second one is not mapped.
            if let Err(error) = removed.and(new.map_or(Ok(()), |new| self.server.map_memory(new))) {
                tracing::warn!(%error, "a function's registers are not where the guest wants them");
            }
        }
    }
}

/// What is done is noted before the guest is answered: if this process dies in between, the request comes again.
impl<W: Write> IoHandler for Bus<'_, W> {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        let value = self.device(address).map_or(u64::MAX, |(device, address)| device.read(address, size));
        self.machine.save(self.server.model());
        value
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        let windows = matches!(self.target, Target::Config(_)).then(|| self.windows());
        if let Some((device, address)) = self.device(address) {
            device.write(address, size, value);
        }
        if let (Target::Config(device), Some(windows)) = (self.target, windows) {
            self.machine.function(device).map(Function::configure);
            self.move_windows(windows);
        }
        self.machine.save(self.server.model());
    }
}
