"""A machine made of files: what a Linux said, recorded, in a folder that the test may change."""

from pathlib import Path

from admission.service.sensors import Sensors

# A Linux 6.12 of 2 CPUs and 8 GB with swap.
MEMINFO = """\
MemTotal:        8132924 kB
MemFree:          162304 kB
MemAvailable:    6099693 kB
Buffers:          201312 kB
Cached:          5214320 kB
SwapCached:        10240 kB
Active:          2104180 kB
Inactive:        4923400 kB
SwapTotal:       4000000 kB
SwapFree:        3000000 kB
Zswap:                 0 kB
Shmem:             10244 kB
Slab:             401220 kB
SReclaimable:     312344 kB
VmallocTotal:   34359738367 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""
STAT = """\
cpu  20413 310 8125 611204 902 0 417 0 0 0
cpu0 10201 150 4100 305600 450 0 217 0 0 0
cpu1 10212 160 4025 305604 452 0 200 0 0 0
intr 1976212 0 0 0 1 14 592
ctxt 9123123
btime 1761990000
processes 91231
procs_running 3
procs_blocked 0
"""
STAT_LATER = "cpu  23113 310 8425 614100 1006 0 417 0 900 0\nbtime 1761990000\n"
LOADAVG = "3.75 1.20 0.60 3/412 91231\n"
PRESSURE = {
    "cpu": "some avg10=17.26 avg60=40.67 avg300=32.28 total=261436091\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "memory": "some avg10=0.50 avg60=0.00 avg300=0.00 total=4195059\n"
    "full avg10=0.25 avg60=0.00 avg300=0.00 total=3025831\n",
    "io": "some avg10=0.00 avg60=0.00 avg300=0.02 total=9195059\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=5025831\n",
}
# A Linux with version 2 alone, as most are today; CGROUPS stands for the folder of the test.
MOUNTS_V2 = """\
24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
30 1 252:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard,errors=remount-ro
35 25 0:30 / CGROUPS rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
OWN_V2 = "0::/user.slice/user-1000.slice/app.slice/admission.service\n"
# Version 1 with a hierarchy for each controller, and version 2 beside it without any.
MOUNTS_HYBRID = """\
32 31 0:29 / CGROUPS/cpu,cpuacct rw,relatime shared:10 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / CGROUPS/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / CGROUPS/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / CGROUPS/unified rw,relatime - cgroup2 cgroup2 rw
"""
OWN_HYBRID = """\
9:name=systemd:/user.slice
4:memory:/user.slice/agents
2:cpu,cpuacct:/user.slice
0::/user.slice
"""
UNLIMITED_V1 = "9223372036854771712\n"


class Machine:
    """The folders `proc` and `cgroups`, and the clock by which intervals are measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proc = folder / "proc"
        self.now = 0.0
        for name, text in {"meminfo": MEMINFO, "stat": STAT, "loadavg": LOADAVG}.items():
            self.write(f"proc/{name}", text)
        for name, text in PRESSURE.items():
            self.write(f"proc/pressure/{name}", text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink()

    def mount(self, mounts: str, own: str) -> None:
        """Control groups as recorded, to be seen in the folder `cgroups`."""
        place = str(self.folder / "cgroups").replace(" ", "\\040")
        self.write("proc/self/mountinfo", mounts.replace("CGROUPS", place))
        self.write("proc/self/cgroup", own)

    def limit_v2(self, group: str, limit: str, current: int = 0, inactive_file: int = 0) -> None:
        place = f"cgroups/{group}".rstrip("/")
        self.write(f"{place}/memory.max", f"{limit}\n")
        self.write(f"{place}/memory.current", f"{current}\n")
        stat = f"anon 1000\nfile 5000\ninactive_file {inactive_file}\nactive_file 7\n"
        self.write(f"{place}/memory.stat", stat)

    def sensors(self) -> Sensors:
        return Sensors(str(self.proc), platform="linux", clock=lambda: self.now)

    def start(
        self, pid: int, parent: int, name: str, *words: str, exe: str | None = None, place: int = 0
    ) -> None:
        """A process, or another program in its place. `place`: where its words are in memory."""
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        self.write(f"proc/{pid}/stat", stat_line(pid, name, parent, place=place or 1000 + pid))
        self.write(f"proc/{pid}/cmdline", "".join(f"{word}\0" for word in words))
        (folder / "exe").unlink(missing_ok=True)
        if exe is not None:
            (folder / "exe").symlink_to(exe)


def stat_line(
    pid: int,
    name: str,
    parent: int,
    *,
    state: str = "S",
    start: int = 0,
    ticks: tuple[int, int, int, int] = (10, 20, 30, 40),
    pages: int = 100,
    place: int = 1000,
) -> str:
    """A line of /proc/PID/stat as Linux 6.12 writes it. `ticks`: fields 14 to 17."""
    fields = [state, str(parent), *(["0"] * 9), *map(str, ticks), "20", "0", "1", "0"]
    fields += [str(start or 100 + pid), "9420800", str(pages), "18446744073709551615"]
    fields += ["1"] * (45 - len(fields)) + [str(place), "1", "1", "1", "0"]
    return f"{pid} ({name}) {' '.join(fields)}\n"
