//! Servers of requests on real Xen: guests of a few instructions, and all they can ask for.

mod common;
#[cfg(target_arch = "x86_64")]
mod hvm_guest;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::env;
    use std::io::{self, BufRead, BufReader, Write};
    use std::ops::RangeInclusive;
    use std::process::{Command, Stdio};
    use std::thread;

    use super::common::xenctrl;
    use super::hvm_guest::code::Code;
    use super::hvm_guest::{DATA, FIRST, Guest, LONG, Recorder, Seen, next};
    use xen_ctrl::devicemodel::{
        Access, Buffering, DeviceModel, Direction, Io, MemoryType, Operand, PageRun, ServerId,
    };
    use xen_ctrl::domain::X86Emulation;
    use xen_ctrl::host::PciAddress;
    use xen_ctrl::{Error, Gfn};

    const EEXIST: Option<i32> = Some(17);
    const EINVAL: Option<i32> = Some(22);
    const ENOENT: Option<i32> = Some(2);
    const ENOSPC: Option<i32> = Some(28);
    const PORT: u16 = 0x510;
    const MMIO: u32 = 0xf000_0000;
    /// A register of a device there.
    const REGISTER: u64 = 0xf000_0000;

    fn server(model: &DeviceModel, buffering: Buffering) -> xen_ctrl::IoreqServer {
        let mut server = model.create_ioreq_server(buffering).expect("a server");
        server.map_ports(PORT..=PORT + 7).expect("ports");
        server.map_memory(REGISTER..=REGISTER + 0xfff).expect("addresses");
        server.enable().expect("on");
        server
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn ports_are_read_and_written_in_every_width() {
        let mut code = Code::new();
        for (at, size) in [(0, 1), (4, 2), (8, 4)] {
            code = code.out(PORT, size, 0xa1b2_c3d4).eax(0).read_port(PORT + 1, size).store(DATA + at, 4);
        }
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        let server = server(&guest.model, Buffering::Off);
        guest.model.restrict().expect("restricted");
        let mut device = Recorder::default();
        let seen = guest.run(&server, &mut device);
        let port = u64::from(PORT);
        assert_eq!(
            device.seen,
            [
                Seen::Write(port, 1, 0xd4),
                Seen::Read(port + 1, 1),
                Seen::Write(port, 2, 0xc3d4),
                Seen::Read(port + 1, 2),
                Seen::Write(port, 4, 0xa1b2_c3d4),
                Seen::Read(port + 1, 4),
            ]
        );
        assert!(seen.iter().all(|io| matches!(io, Io::Port(Access { count: 1, .. }))), "{seen:?}");
        assert_eq!([0, 4, 8].map(|at| guest.word(DATA + at)), [0x88, 0x7789, 0x5566_778a]);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn memory_is_read_and_written_in_every_width() {
        let mut code = Code::new().eax(0xa1b2_c3d4);
        for (at, size) in [(0, 1), (2, 2), (4, 4)] {
            code = code.store(MMIO + at, size);
        }
        for (at, size) in [(0, 1), (2, 2), (4, 4)] {
            code = code.eax(0).load(MMIO + 0x20 + at, size).store(DATA + at * 4, 4);
        }
        code = code.load_mm0(MMIO + 0x40).store_mm0(DATA + 0x40).store_mm0(MMIO + 0x48);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        let server = server(&guest.model, Buffering::Off);
        let mut device = Recorder::default();
        let seen = guest.run(&server, &mut device);
        let mmio = REGISTER;
        assert_eq!(
            device.seen,
            [
                Seen::Write(mmio, 1, 0xd4),
                Seen::Write(mmio + 2, 2, 0xc3d4),
                Seen::Write(mmio + 4, 4, 0xa1b2_c3d4),
                Seen::Read(mmio + 0x20, 1),
                Seen::Read(mmio + 0x22, 2),
                Seen::Read(mmio + 0x24, 4),
                Seen::Read(mmio + 0x40, 8),
                Seen::Write(mmio + 0x48, 8, FIRST + 3),
            ]
        );
        assert!(seen.iter().all(|io| matches!(io, Io::Memory(_))), "{seen:?}");
        assert_eq!([0, 8, 16].map(|at| guest.word(DATA + at)), [0x88, 0x7789, 0x5566_778a]);
        assert_eq!(u64::from_le_bytes(guest.read((DATA + 0x40).into())), FIRST + 3);
    }

    /// The values of all writes of this width to a port.
    fn written(device: &Recorder, size: u8) -> Vec<u64> {
        let writes = device.seen.iter().filter_map(|seen| match seen {
            Seen::Write(address, width, value) if *width == size => {
                assert_eq!(*address, u64::from(PORT), "the port stays");
                Some(*value)
            }
            _ => None,
        });
        writes.collect()
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn strings_go_to_ports_and_come_from_them() {
        let text = b"To be, or not to be.";
        let mut code = Code::new().edx(PORT.into());
        for (size, count) in [(1, 20), (2, 10), (4, 5)] {
            code = code.upwards().esi(DATA).ecx(count).rep_outs(size);
        }
        code = code.downwards().esi(DATA + 19).ecx(20).rep_outs(1);
        for (at, size, count) in [(0x100, 1, 7), (0x200, 2, 7), (0x300, 4, 7)] {
            code = code.upwards().edi(DATA + at).ecx(count).rep_ins(size);
        }
        code = code.downwards().edi(DATA + 0x408).ecx(3).rep_ins(4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        guest.write(DATA.into(), text);
        let server = server(&guest.model, Buffering::Off);
        let mut device = Recorder::default();
        let seen = guest.run(&server, &mut device);

        let up: Vec<_> = text.iter().map(|byte| u64::from(*byte)).collect();
        let down: Vec<_> = up.iter().rev().copied().collect();
        assert_eq!(written(&device, 1), [up, down].concat());
        let words: Vec<_> =
            text.chunks(2).map(|two| u64::from(u16::from_le_bytes([two[0], two[1]]))).collect();
        assert_eq!(written(&device, 2), words);
        let longs = text.chunks(4).map(|four| u32::from_le_bytes(four.try_into().expect("4 bytes")));
        assert_eq!(written(&device, 4), longs.map(u64::from).collect::<Vec<_>>());

        let mut answers = (0..24).map(|reads| FIRST + reads);
        let mut take = |size: usize| -> Vec<u8> {
            answers.by_ref().take(7).flat_map(|answer| answer.to_le_bytes()[..size].to_vec()).collect()
        };
        assert_eq!(guest.read::<7>((DATA + 0x100).into()), *take(1));
        assert_eq!(guest.read::<14>((DATA + 0x200).into()), *take(2));
        assert_eq!(guest.read::<28>((DATA + 0x300).into()), *take(4));
        let downwards = [0x408, 0x404, 0x400].map(|at| u64::from(guest.word(DATA + at)));
        assert_eq!(downwards, [21, 22, 23].map(|reads| (FIRST + reads) & 0xffff_ffff));

        let many = |io: &Io| matches!(io, Io::Port(Access { count: 2.., operand: Operand::Memory(_), .. }));
        assert!(seen.iter().any(many), "repetitions come together: {seen:?}");
        let descending = |io: &Io| matches!(io, Io::Port(Access { descending: true, .. }));
        assert!(seen.iter().any(descending), "{seen:?}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn strings_go_to_emulated_memory_and_come_from_there() {
        let code = Code::new()
            .upwards()
            .esi(DATA)
            .edi(MMIO + 0x10)
            .ecx(5)
            .rep_movs(4)
            .esi(MMIO + 0x80)
            .edi(DATA + 0x100)
            .ecx(5)
            .rep_movs(4)
            .eax(0x7777_7777)
            .edi(MMIO + 0x100)
            .ecx(3)
            .rep_stos(4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        let data: Vec<u8> = (1..=20).collect();
        guest.write(DATA.into(), &data);
        let server = server(&guest.model, Buffering::Off);
        let mut device = Recorder::default();
        guest.run(&server, &mut device);
        let value = |at: u8| u64::from(u32::from_le_bytes([at, at + 1, at + 2, at + 3]));
        let mut expected: Vec<_> =
            (0..5).map(|n| Seen::Write(REGISTER + 0x10 + 4 * u64::from(n), 4, value(4 * n + 1))).collect();
        expected.extend((0..5).map(|n| Seen::Read(REGISTER + 0x80 + 4 * n, 4)));
        expected.extend((0..3).map(|n| Seen::Write(REGISTER + 0x100 + 4 * n, 4, 0x7777_7777)));
        assert_eq!(device.seen, expected);
        for index in 0..5 {
            let expected = (FIRST + u64::from(index)) & 0xffff_ffff;
            assert_eq!(u64::from(guest.word(DATA + 0x100 + 4 * index)), expected, "{index}");
        }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn configuration_space_is_decoded() {
        let select = |register: u32| 0x8000_0000 | 3 << 11 | 1 << 8 | register;
        let code = Code::new()
            .out(0xcf8, 4, select(0x44))
            .read_port(0xcfc, 4)
            .store(DATA, 4)
            .out(0xcfe, 1, 0x77)
            .out(0xcf8, 4, select(0x10) + (1 << 11)) // nobody's
            .read_port(0xcfc, 4)
            .store(DATA + 4, 4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        let mut server = guest.model.create_ioreq_server(Buffering::Off).expect("a server");
        let function = PciAddress::new(0, 0, 3, 1).expect("an address");
        server.map_pci(function).expect("mapped");
        assert_eq!(server.map_pci(function).expect_err("twice").errno(), EEXIST);
        server.enable().expect("on");
        let mut device = Recorder::default();
        let seen = guest.run(&server, &mut device);
        assert_eq!(device.seen, [Seen::Read(0x44, 4), Seen::Write(0x46, 1, 0x77)]);
        let all_of_it = |io: &Io| matches!(io, Io::PciConfig { device, .. } if *device == function);
        assert!(seen.iter().all(all_of_it), "{seen:?}");
        assert_eq!([guest.word(DATA), guest.word(DATA + 4)], [0x5566_7788, u32::MAX]);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn some_writes_are_not_waited_for() {
        let code = Code::new().times(600);
        let start = code.len();
        let code = code.raw(&[0x89, 0xe8]).store(0xb_8000, 4).repeat_from(start); // mov eax, ebp
        // the clock's year, of two digits in BCD
        let code = code.out(0x70, 1, 9).out(0x71, 1, 0x77).out(PORT, 1, 1);
        let xen = xenctrl();
        let guest = Guest::with(&xen, X86Emulation::HVM, &[code]);
        let server = server(&guest.model, Buffering::On);
        server.map_memory(0xa_0000..=0xb_ffff).expect("the screen");
        let mut device = Recorder::default();
        let seen = guest.run(&server, &mut device);
        let values = |seen: &[Seen]| -> Vec<u64> {
            seen.iter()
                .filter_map(|seen| if let Seen::Write(_, 4, value) = seen { Some(*value) } else { None })
                .collect()
        };
        assert_eq!(values(&device.seen), (1..=600).rev().collect::<Vec<_>>(), "none is lost, all in order");
        assert_eq!(
            device.seen.last(),
            Some(&Seen::Write(PORT.into(), 1, 1)),
            "what is waited for comes last"
        );
        let years = |io: &Io| matches!(io, Io::TimeOffset { seconds } if seconds.abs() > 40 * 365 * 86_400);
        assert!(seen.iter().any(years), "{:?}", &seen[seen.len() - 3..]);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn two_servers_have_what_is_theirs() {
        let code = Code::new()
            .out(PORT, 1, 1)
            .out(0x620, 1, 2)
            .read_port(0x621, 1)
            .store(DATA, 1)
            .out(0x700, 1, 3) // nobody's
            .out(PORT, 1, 4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        let first = server(&guest.model, Buffering::Off);
        let mut second = guest.model.create_ioreq_server(Buffering::Off).expect("another");
        assert_ne!(first.id(), second.id());
        second.map_ports(0x620..=0x621).expect("ports");
        second.map_ports(0x630..=0x63f).expect("more ports");
        second.unmap_ports(0x630..=0x63f).expect("no longer");
        assert_eq!(second.unmap_ports(0x630..=0x63f).expect_err("not there").errno(), ENOENT);
        assert_eq!(second.map_memory(RangeInclusive::new(5, 4)).expect_err("no range").errno(), EINVAL);
        second.enable().expect("on");
        guest.domain.unpause().expect("it begins");
        let (mut one, mut two) = (Recorder::default(), Recorder::default());
        thread::scope(|scope| {
            scope.spawn(|| guest.serve(&second, &mut two));
            guest.serve(&first, &mut one);
        });
        assert_eq!(one.seen, [1, 4].map(|value| Seen::Write(PORT.into(), 1, value)));
        assert_eq!(two.seen, [Seen::Write(0x620, 1, 2), Seen::Read(0x621, 1)]);
        assert_eq!(guest.word(DATA) & 0xff, 0x88);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn servers_are_destroyed_when_dropped() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new()]);
        let fill = || -> Vec<_> {
            std::iter::from_fn(|| guest.model.create_ioreq_server(Buffering::On).ok()).collect()
        };
        let many = fill();
        assert!((1..100).contains(&many.len()), "{}", many.len());
        let error = guest.model.create_ioreq_server(Buffering::Off).expect_err("there are too many");
        assert_eq!(error.errno(), ENOSPC, "{error}");
        let count = many.len();
        drop(many);
        assert_eq!(fill().len(), count, "all of them were gone");
        let nobody = guest.model.destroy_ioreq_server(ServerId::new(77)).expect_err("no such server");
        assert_eq!(nobody.errno(), ENOENT, "{nobody}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn one_to_four_vcpus_are_told_apart() {
        const TIMES: u32 = 20;
        let xen = xenctrl();
        for vcpus in 1..=4 {
            let program = |vcpu: u32| {
                let code = Code::new().times(TIMES);
                let start = code.len();
                let data = DATA + vcpu * 0x1000;
                code.out(PORT, 4, vcpu).read_port(PORT + 4, 4).store(data, 4).repeat_from(start)
            };
            let guest = Guest::new(&xen, &(0..vcpus).map(program).collect::<Vec<_>>());
            let server = server(&guest.model, Buffering::Off);
            guest.domain.unpause().expect("it begins");
            let mut asked = vec![0; usize::try_from(vcpus).expect("few")];
            for _ in 0..vcpus * TIMES * 2 {
                let request = next(&server);
                let vcpu = request.vcpu().expect("it waits").get();
                asked[usize::try_from(vcpu).expect("few")] += 1;
                let Io::Port(access) = *request.io() else { panic!("{request:?}") };
                if access.direction == Direction::Write {
                    assert_eq!(access.operand, Operand::Value(vcpu.into()));
                }
                request.respond(u64::from(vcpu) * 0x0101).expect("answered");
            }
            guest.wait_for_end();
            assert!(asked.iter().all(|count| *count == TIMES * 2), "{asked:?}");
            for vcpu in 0..vcpus {
                assert_eq!(guest.word(DATA + vcpu * 0x1000), vcpu * 0x0101);
            }
        }
    }

    /// The variable by which another process of this test knows its guest.
    const VICTIM: &str = "XEN_SDK_VICTIM_OF";

    /// Takes a request, says so, and never answers.
    fn be_killed(domain: &str) {
        let model = DeviceModel::open(domain.parse().expect("a number")).expect("a device model");
        let server = server(&model, Buffering::On);
        writeln!(io::stdout(), "server {}", server.id()).expect("a reader");
        let request = next(&server);
        writeln!(io::stdout(), "taken {:?}", request.io()).expect("a reader");
        thread::sleep(LONG);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_killed_device_model_has_a_successor() {
        if let Ok(domain) = env::var(VICTIM) {
            return be_killed(&domain);
        }
        let xen = xenctrl();
        for adopt in [true, false] {
            let code = Code::new().eax(5).read_port(PORT, 4).store(DATA, 4).out(PORT + 1, 1, 9);
            let guest = Guest::new(&xen, &[code]);
            let name = "x86::a_killed_device_model_has_a_successor";
            let mut victim = Command::new(env::current_exe().expect("this program"))
                .args(["--exact", name, "--ignored", "--nocapture"])
                .env(VICTIM, guest.domain.id().to_string())
                .stdout(Stdio::piped())
                .spawn()
                .expect("another process");
            let mut lines = BufReader::new(victim.stdout.take().expect("a pipe")).lines();
            let mut line = |word: &str| -> String {
                let mut lines = lines.by_ref().map(|line| line.expect("text"));
                let found = lines.find_map(|line| Some(line.split_once(word)?.1.trim().to_owned()));
                found.unwrap_or_else(|| panic!("it never said '{word}'"))
            };
            let id = ServerId::new(line("server ").parse().expect("a number"));
            guest.domain.unpause().expect("it begins");
            line("taken ");
            victim.kill().expect("killed");
            victim.wait().expect("dead");
            assert!(!guest.has_ended(), "it waits");

            if adopt {
                let mut heir = guest.model.adopt_ioreq_server(id).expect("taken over");
                heir.enable().expect("on");
                let mut device = Recorder::default();
                guest.serve(&heir, &mut device);
                let port = u64::from(PORT);
                assert_eq!(device.seen, [Seen::Read(port, 4), Seen::Write(port + 1, 1, 9)]);
                assert_eq!(guest.word(DATA), 0x5566_7788);
                drop(heir);
            } else {
                drop(guest.model.adopt_ioreq_server(id).expect("taken over"));
                guest.wait_for_end(); // it goes on, without an answer
            }
            let gone = guest.model.adopt_ioreq_server(id).expect_err("destroyed");
            assert_eq!(gone.errno(), ENOENT, "{gone}");
        }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_server_that_is_off_or_gone_is_not_waited_for() {
        let code = Code::new().read_port(PORT, 4).store(DATA, 4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, std::slice::from_ref(&code));
        let mut idle = server(&guest.model, Buffering::Off);
        idle.disable().expect("off");
        guest.domain.unpause().expect("it begins");
        guest.wait_for_end();
        assert_eq!(guest.word(DATA), u32::MAX, "nobody is there");

        let guest = Guest::new(&xen, &[code]);
        let server = server(&guest.model, Buffering::Off);
        guest.domain.unpause().expect("it begins");
        let request = next(&server);
        drop(request); // as if nobody was there
        guest.wait_for_end();
        assert_eq!(guest.word(DATA), u32::MAX);

        let guest = Guest::new(&xen, &[Code::new().times(9).read_port(PORT, 4).out(PORT, 4, 7)]);
        let server = self::server(&guest.model, Buffering::Off);
        guest.domain.unpause().expect("it begins");
        std::mem::forget(next(&server));
        drop(server); // while the guest waits
        guest.wait_for_end();
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn writes_to_pages_of_a_type_come_to_who_claims_it() {
        let place = DATA + 0x3000;
        let code = Code::new().eax(0x1234).store(place, 4).load(place, 4).store(DATA, 4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        guest.write(place.into(), &[1, 2, 3, 4]);
        let server = server(&guest.model, Buffering::Off);
        let page = PageRun { first: Gfn::new(u64::from(place >> 12)), count: 1 };
        server.claim_memory_type().expect("claimed");
        guest.model.set_memory_type(page, MemoryType::IoreqServer).expect("changed");
        assert_eq!(guest.domain.hvm().memory_type(page.first).expect("told"), MemoryType::IoreqServer);
        let mut device = Recorder::default();
        guest.run(&server, &mut device);
        assert_eq!(device.seen, [Seen::Write(place.into(), 4, 0x1234)]);
        assert_eq!(guest.word(DATA), 0x0403_0201, "reads go to memory, which the device has not changed");
        guest.model.set_memory_type(page, MemoryType::Ram).expect("changed back");
        server.release_memory_type().expect("released");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn memory_that_the_guest_gives_back_is_forgotten() {
        let processors = std::fs::read_to_string("/proc/cpuinfo").expect("the kernel's account");
        let last = if processors.contains("GenuineIntel") { 0xc1 } else { 0xd9 };
        let code = Code::new().eax(12).ebx(1).ecx(DATA).raw(&[0x0f, 0x01, last]).store(DATA + 0x80, 4);
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        // memory_op: one frame less, number 0x20, of its own
        let request = [DATA + 0x40, 1, 0, 0, 0x7ff0];
        guest.write(DATA.into(), request.map(u32::to_le_bytes).as_flattened());
        guest.write(u64::from(DATA) + 0x40, &[0x20, 0, 0, 0]);
        let server = server(&guest.model, Buffering::Off);
        let memory = guest.model.memory(16);
        assert_eq!(memory.read::<u8>(0x2_0000).expect("it is there"), 0);
        guest.domain.unpause().expect("it begins");
        let request = next(&server);
        assert_eq!(*request.io(), Io::InvalidateMappings);
        request.serve(&memory, &mut Recorder::default()).expect("answered");
        memory.read::<u8>(0x2_0000).expect_err("it is gone");
        guest.wait_for_end();
        assert_eq!(guest.word(DATA + 0x80), 1, "one frame");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_restricted_file_is_for_one_guest() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new()]);
        let other = Guest::new(&xen, &[Code::new()]);
        let file = xen_ctrl::ForeignMemory::open().expect("the device");
        let (mine, others) =
            [guest.domain.id(), other.domain.id()].map(|id| DeviceModel::new(file.clone(), id)).into();
        others.inject_msi(0xfee0_0000, 0x30).expect("possible at first");
        mine.restrict().expect("restricted");
        mine.restrict().expect("again");
        mine.inject_msi(0xfee0_0000, 0x30).expect("still possible");
        drop(server(&mine, Buffering::On));
        let error = others.inject_msi(0xfee0_0000, 0x30).expect_err("not any more");
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        let error = others.create_ioreq_server(Buffering::Off).expect_err("no server either");
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        others.restrict().expect_err("it is restricted to another one");
        assert_eq!(mine.memory(16).read::<u8>(0x1000).expect("its memory"), 0xf4);
    }
}

#[cfg(target_arch = "aarch64")]
#[test]
#[ignore = "needs Xen dom0"]
fn a_hypervisor_without_servers_says_so() {
    use xen_ctrl::Error;
    use xen_ctrl::devicemodel::{Buffering, DeviceModel, ServerId};
    use xen_ctrl::domain::CreateDomain;

    let xen = common::xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    let model = DeviceModel::open(domain.id()).expect("a device model");
    for error in [
        model.create_ioreq_server(Buffering::On).expect_err("Debian's Xen has none on Arm"),
        model.destroy_ioreq_server(ServerId::new(0)).expect_err("nor this"),
    ] {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    }
}
