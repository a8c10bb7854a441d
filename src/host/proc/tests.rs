use proptest::prelude::*;

use super::*;

const STAT: &str = "\
cpu  21180 72580 25161 224418 1609 0 205 305 7 0
cpu0 10189 31994 10349 119518 470 0 51 146 0 0
cpu1 10990 40585 14811 104900 1139 0 154 158 0 0
intr 1387010 0 0
ctxt 1877450
btime 1763720000
";

const DISKSTATS: &str = "\
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 100 1 200 3 40 5 600 7 8 900 10 11 12 13 14 15 16
 254       1 vda1 1 2 3
";

const NET_DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
eth0:0: 571657629 33988 1 2    3     4          5         6  2474877   22625    7    8    9    10      11         12
";

const MOUNTS: &str = "\
proc /proc proc rw,relatime 0 0
/dev/vda / ext4 ro,relatime 0 0
/dev/vdb /mnt/my\\040disk xfs rw,errors=ro 0 0
server:/x /net nfs4 rw 0 0
tmpfs /mnt/my\\040disk tmpfs rw 0 0
sshfs /home fuse.sshfs rw 0 0
/dev/sdc1 /usb fuseblk rw 0 0
overlay /var/lib/x/merged overlay rw 0 0
";

const SOCKETS: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:23F0 00000000:0000 0A 00000000:00000000
   1: 0100007F:23F0 0100007F:9999 01 00000000:00000000
   2: 0100007F:23F0 0100007F:9998 01 00000000:00000000
   3: 0100007F:23F0 0100007F:9998 FF 00000000:00000000
";

#[test]
fn processors_have_eight_modes() {
    let cpus = Cpus::parse(STAT).unwrap();
    assert_eq!(
        cpus.total,
        Some([21180, 72580, 25161, 224_418, 1609, 0, 205, 305])
    );
    assert_eq!(cpus.each.len(), 2);
    assert_eq!(cpus.each[1].0, 1);
    assert_eq!(cpus.boot, Some(1_763_720_000));
    assert_eq!(Cpus::parse("cpu 1 2 3\n"), None, "a line that is cut off");
}

#[test]
fn a_processor_is_busy_when_it_neither_idles_nor_waits() {
    let f = |before: [u64; 8], after: [u64; 8], expected: Option<f64>| {
        assert_eq!(
            passed(&before, &after).map(|passed| busy(&passed)),
            expected
        );
    };
    let zero = [0; 8];
    f(zero, [1, 1, 1, 5, 5, 1, 1, 0], Some(5.0 / 15.0));
    f(zero, zero, None);
    f([0, 0, 0, 9, 0, 0, 0, 0], [1, 0, 0, 8, 0, 0, 0, 0], None);
    f(
        [0, 0, 0, 0, 9, 0, 0, 0],
        [1, 0, 0, 3, 8, 0, 0, 0],
        Some(0.25),
    );
    f(zero, [u64::MAX; 8], Some(0.0));
}

#[test]
fn disks_and_interfaces_are_read_by_column() {
    let disks = disks(DISKSTATS);
    assert_eq!(disks.len(), 2, "{disks:?}");
    assert_eq!(disks[1].name, "vda");
    assert_eq!(disks[1].directions, [[100, 1, 200, 3], [40, 5, 600, 7]]);
    assert_eq!(disks[1].busy_ms, 900);

    let interfaces = interfaces(NET_DEV);
    assert_eq!(interfaces.len(), 2, "{interfaces:?}");
    assert_eq!(interfaces[1].name, "eth0:0");
    assert_eq!(
        interfaces[1].directions,
        [[571_657_629, 33988, 1, 2], [2_474_877, 22625, 7, 8]]
    );
}

#[test]
fn used_memory_is_what_is_not_available() {
    let f = |text: &str, expected: Option<u64>| {
        let memory = Memory::parse(text);
        assert_eq!(memory.and_then(|memory| memory.used()), expected, "{text}");
    };
    f("MemTotal: 100 kB\nMemAvailable: 40 kB\n", Some(60 << 10));
    f("MemTotal: 100 kB\nMemAvailable: 140 kB\n", None);
    f(
        "MemTotal: 100 kB\nMemFree: 50 kB\nBuffers: 5 kB\nCached: 15 kB\n",
        Some(30 << 10),
    );
    f("MemTotal: 100 kB\nMemFree: 50 kB\n", None);
    f("MemAvailable: 40 kB\n", None);
    f("MemTotal: 18446744073709551615 kB\n", None);
    f("MemTotal: lots\n", None);
}

#[test]
fn mounts_are_unescaped_and_the_last_on_a_point_is_seen() {
    let mounts = mounts(MOUNTS.as_bytes());
    let seen: Vec<_> = mounts
        .iter()
        .filter(|mount| !mount.is_virtual() && !mount.may_hang())
        .map(|mount| {
            (
                mount.device.as_str(),
                mount.mount_point.as_str(),
                mount.read_only,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("/dev/vda", "/", true), ("/dev/sdc1", "/usb", false)]
    );
    let covered = mounts
        .iter()
        .find(|mount| mount.mount_point == "/mnt/my disk");
    assert_eq!(covered.map(|mount| mount.kind.as_str()), Some("tmpfs"));
}

#[test]
fn sockets_are_counted_by_state() {
    let mut connections = SocketCounts::default();
    connections.add_tcp(SOCKETS);
    connections.add_udp(SOCKETS);
    let count = |name: &str| {
        let state = TCP_STATES.iter().position(|(v1, _)| *v1 == name).unwrap();
        connections.tcp[state]
    };
    assert_eq!((count("established"), count("listen")), (2, 1));
    assert_eq!(
        connections.tcp.iter().sum::<u64>(),
        3,
        "no such state as FF"
    );
    assert_eq!(connections.udp, 4);
}

#[test]
fn a_process_may_have_any_name() {
    let text = "7 (a) b) (c) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 1000 4096 25 18446744073709551615 0";
    assert_eq!(
        ProcessStat::parse(text),
        Some(ProcessStat {
            name: "a) b) (c".to_owned(),
            state: 'S',
            parent: 1,
            faults: [9, 0],
            ticks: [250, 50],
            threads: 3,
            started: 1000,
            virtual_bytes: 4096,
            resident_pages: 25,
            disk_ticks: 0,
        })
    );
}

#[test]
fn loads_and_uptime_are_finite() {
    assert_eq!(load("0.35 0.60 0.78 1/94 28216\n"), Some([0.35, 0.6, 0.78]));
    assert_eq!(load("0.35 NaN 0.78"), None);
    assert_eq!(load("0.35"), None);
    assert_eq!(uptime("1732.86 2244.18\n"), Some(1732.86));
    assert_eq!(uptime("inf 1"), None);
    assert_eq!(uptime("-1 1"), None);
}

#[test]
fn the_kernels_own_counters_are_beside_the_processors() {
    let cpus = Cpus::parse(STAT).unwrap();
    assert_eq!(cpus.guests, [(0, [0, 0]), (1, [0, 0])]);
    assert_eq!(cpus.interrupts, Some(1_387_010));
    assert_eq!(cpus.context_switches, Some(1_877_450));
    assert_eq!((cpus.forks, cpus.running), (None, None));
}

#[test]
fn what_younger_kernels_count_of_disks_is_absent_in_older_ones() {
    let disks = disks(DISKSTATS);
    let disk = &disks[1];
    assert_eq!((disk.in_progress, disk.weighted_ms), (8, Some(10)));
    assert_eq!(disk.discards, Some([11, 12, 13, 14]));
    assert_eq!(disk.flushes, Some([15, 16]));
    assert!(disks[0].is_unused() && !disk.is_unused());
    let old = super::disks("8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
    assert_eq!((old[0].weighted_ms, old[0].discards), (Some(11), None));
}

#[test]
fn every_line_of_the_memory_is_kept() {
    let memory =
        Memory::parse("MemTotal: 100 kB\nActive(anon): 5 kB\nHugePages_Total: 7\nOdd: x\n");
    let memory = memory.unwrap();
    let lines: Vec<_> = memory
        .lines
        .iter()
        .map(|line| (&*line.key, line.value, line.is_bytes))
        .collect();
    assert_eq!(
        lines,
        [
            ("MemTotal", 102_400, true),
            ("Active(anon)", 5120, true),
            ("HugePages_Total", 7, false),
        ]
    );
}

const MOUNTINFO: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:5 / /proc rw - proc proc rw
24 22 254:0 /srv /bound\\040here ro,relatime master:1 shared:2 - ext4 /dev/root rw
25 22 0:4 net:[4026532281] /run/ns rw - nsfs nsfs rw
26 22 254:1 / /data rw - xfs /dev/vdb ro
garbage
";

#[test]
fn what_is_mounted_again_has_the_device_of_the_first() {
    let infos = mountinfo(MOUNTINFO.as_bytes());
    let seen: Vec<_> = infos
        .iter()
        .map(|info| {
            let mount = &info.mount;
            (
                mount.mount_point.as_str(),
                mount.device.as_str(),
                mount.read_only,
                info.is_bound,
                info.has_path,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/", "/dev/root", false, false, true),
            ("/proc", "proc", false, false, false),
            ("/bound here", "/dev/root", true, true, true),
            ("/run/ns", "net:[4026532281]", false, false, false),
            ("/data", "/dev/vdb", true, false, true),
        ]
    );
}

#[test]
fn swap_areas_are_read_by_their_heading() {
    let text = "Filename Type Size Used Priority\n/swapfile file 2 1 -2\n";
    let area = SwapArea {
        name: "/swapfile".to_owned(),
        total: 2048,
        used: 1024,
    };
    assert_eq!(swaps(text), Some(vec![area]));
    assert_eq!(
        swaps("Filename Type Size Used Priority\n"),
        Some(Vec::new())
    );
    assert_eq!(swaps("Filename Type Used Size\n"), None);
    assert_eq!(swaps("Filename Type Size Used\n/swapfile file x 1\n"), None);
    assert_eq!(
        swaps("Filename Type Size Used\n/s f 18446744073709551615 1\n"),
        None
    );
    assert_eq!(swaps(""), None);
}

#[test]
fn a_process_tells_of_its_user_switches_and_signals() {
    let text = "Name:\tx\nUid:\t7\t8\t8\t8\nShdPnd:\t0000000000000004\n\
                voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n";
    let status = ProcessStatus::parse(text);
    assert_eq!(status.user, Some(7));
    assert_eq!(status.pending_signals, Some(4));
    assert_eq!(status.switches, Some([5, 6]));
    let io = ProcessIo::parse("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\n");
    assert_eq!(
        io,
        Some(ProcessIo {
            bytes: [1, 2],
            calls: [3, 4],
        })
    );
    assert_eq!(ProcessIo::parse("rchar: 1\n"), None);
    assert_eq!(memory_pages("10 5 1 1 0 3 0\n"), Some([10, 5]));
    let users = users("root:x:0:0:root:/:\nx\n:x:5\ntoor:x:0:0::/:\n");
    assert_eq!(
        users.into_iter().collect::<Vec<_>>(),
        [(0, "root".to_owned())]
    );
}

#[test]
fn processors_are_counted_with_their_frequencies() {
    let text = "processor\t: 0\ncpu MHz\t\t: 2000.5\nphysical id\t: 0\ncpu cores\t: 2\n\n\
                processor\t: 1\ncpu MHz\t\t: inf\nphysical id\t: 0\ncpu cores\t: 2\n";
    let info = CpuInfo::parse(text);
    assert_eq!((info.logical, info.cores), (2, 2));
    assert_eq!(info.frequencies, [(0, 2000.5)]);
}

/// Runs every parser on the text.
fn parse_all(text: &str) {
    let _ = (
        mountinfo(text.as_bytes()),
        swaps(text),
        PagingCounters::parse(text),
    );
    let _ = (
        CpuInfo::parse(text),
        ProcessStatus::parse(text),
        ProcessIo::parse(text),
    );
    let _ = (memory_pages(text), users(text));
    let _ = Cpus::parse(text);
    let _ = Memory::parse(text).map(|memory| memory.used());
    let _ = (load(text), uptime(text), disks(text), interfaces(text));
    let _ = (mounts(text.as_bytes()), ProcessStat::parse(text));
    let mut connections = SocketCounts::default();
    connections.add_tcp(text);
    connections.add_udp(text);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC*") {
        parse_all(&text);
    }

    #[test]
    fn any_change_to_the_kernels_text_is_survived(
        file in prop::sample::select(vec![STAT, DISKSTATS, NET_DEV, MOUNTS, MOUNTINFO, SOCKETS]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = file.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        parse_all(&String::from_utf8_lossy(&bytes));
    }
}
