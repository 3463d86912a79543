"""Runs programs on a device's machine and reports what they print, when, and how they end.

It speaks JSON, a line an order on standard input and a line an event on standard output; an empty line on either side
only shows that the other side is still there. When standard input ends, or has been silent for SILENCE seconds, every
program that it started is ended, the board's settings are put back, and it ends itself: a connection that breaks
leaves nothing running. Stamps are nanoseconds of the board's monotonic clock, which no one can set.

For Python 3.5, the one of JetPack 3, and its standard library alone.

    usage: agent.py FOLDER     everything that it writes lies in FOLDER
"""

import base64
import ctypes
import errno
import fcntl
import glob
import hashlib
import json
import os
import pty
import queue
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import traceback
import tty

VERSION = 1
SILENCE = 20.0
LONGEST_LINE = 16384
CHUNK = 131072
MARK = "CONTROLLER_AGENT"
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

folder = os.path.realpath(os.path.expanduser(sys.argv[1]))
speaking = threading.Lock()
orders = queue.Queue()
jobs = {}
at_exit = []
lock_file = None
board_lock = None
received = time.monotonic()
finishing = threading.Lock()


def now():
    return int(time.monotonic() * 1e9)


def report(**event):
    data = (json.dumps(event) + "\n").encode()
    with speaking:
        try:
            while data:
                data = data[os.write(1, data):]
        except OSError:
            pass  # Nobody listens any more: standard input will end as well.


def inside(path):
    """A path within the work folder, or an error: nothing outside is written to."""
    full = os.path.realpath(os.path.join(folder, path))
    if full != folder and not full.startswith(folder + os.sep):
        raise ValueError("%s lies outside %s" % (path, folder))
    return full


def die_with_parent():
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # Also if this program is killed outright.


def take_terminal():
    """So that the kernel hangs up on a program, also one of another user, when the other side of its terminal is closed:
    what sudo runs cannot be sent a signal by us."""
    die_with_parent()
    fcntl.ioctl(1, termios.TIOCSCTTY, 0)


def send_signal(process, number):
    """To a program and all that it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        # It runs by sudo; a rule may allow this as well.
        words = ["sudo", "-n", "kill", "-%d" % number, "--", "-%d" % process.pid]
        try:
            subprocess.call(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError:
            pass


def group_is_alive(process):
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Program:
    """A program, with what it prints on either stream."""

    def __init__(self, number, argv, limit_s, terminal):
        self.number, self.timed_out, self.closing = number, False, False
        environment = dict(os.environ)
        environment[MARK] = folder
        environment["LC_ALL"] = "C"
        if terminal:
            # A program that writes into a pipe holds its lines back.
            self.reading, writing = pty.openpty()
            tty.setraw(writing)
        else:
            self.reading, writing = os.pipe()
        try:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, cwd=folder, env=environment,
                preexec_fn=take_terminal if terminal else die_with_parent, close_fds=True)
        except (OSError, subprocess.SubprocessError):
            os.close(self.reading)
            raise
        finally:
            os.close(writing)
        self.limit = threading.Timer(limit_s, self.out_of_time)
        self.limit.daemon = True
        self.ended, self.all_read = threading.Event(), threading.Event()

    def begin(self):
        self.limit.start()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.wait, daemon=True).start()

    def read(self):
        rest = b""
        while True:
            if not select.select([self.reading], [], [], 0.2)[0]:
                if self.closing:
                    break
                continue
            try:
                data = os.read(self.reading, 65536)
            except OSError:
                data = b""  # A terminal whose other side is closed.
            at = now()
            if self.closing:
                break
            rest += data
            lines = rest.split(b"\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE or (not data and rest):
                lines.append(rest)
                rest = b""
            for line in lines:
                report(id=self.number, t=at, line=line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r"))
            if not data:
                break
        os.close(self.reading)
        self.all_read.set()

    def wait(self):
        status = self.process.wait()
        at = now()
        self.limit.cancel()
        self.ended.set()
        # Whatever it left behind in its group goes with it.
        if group_is_alive(self.process):
            send_signal(self.process, signal.SIGKILL)
        self.closing = not self.all_read.wait(1.0)
        self.all_read.wait(1.0)
        jobs.pop(self.number, None)
        event = {"id": self.number, "t": at}
        if self.timed_out:
            event["timeout"] = True
        elif status < 0:
            event["signal"] = -status
        else:
            event["exit"] = status
        report(**event)

    def out_of_time(self):
        self.timed_out = True
        self.stop()

    def stop(self):
        if self.ended.is_set():
            return
        send_signal(self.process, signal.SIGTERM)
        if self.ended.wait(1.0):
            return
        # Hangs up.
        self.closing = True
        if not self.ended.wait(1.0):
            send_signal(self.process, signal.SIGKILL)


class Poll:
    """Reads small files again and again."""

    def __init__(self, number, paths, period_s):
        self.number, self.paths, self.period_s = number, paths, period_s
        self.files = []
        try:
            for path in paths:
                self.files.append(os.open(path, os.O_RDONLY))
        except OSError:
            self.close()
            raise
        self.halt = threading.Event()

    def begin(self):
        threading.Thread(target=self.run, daemon=True).start()

    def close(self):
        for file in self.files:
            os.close(file)

    def run(self):
        turn, begun, problem = 0, time.monotonic(), None
        while True:
            # Once in each period, but anywhere in it (by multiples of the golden ratio, which spread more evenly than
            # chance): what goes on and off as regularly as inferences do would else be met at the same point of its
            # cycle again and again.
            due = begun + (turn + turn * 0.6180339887498949 % 1.0) * self.period_s
            turn = max(turn + 1, int((time.monotonic() - begun) / self.period_s))
            if self.halt.wait(max(0.0, due - time.monotonic())):
                break
            before = now()
            try:
                values = [os.pread(file, 64, 0).decode("ascii", "replace").strip() for file in self.files]
            except OSError as error:
                problem = "%s: %s" % (self.paths, error.strerror)
                break
            report(id=self.number, t=(before + now()) // 2, values=values)
        self.close()
        jobs.pop(self.number, None)
        event = {"id": self.number, "t": now(), "exit": 0 if problem is None else 1}
        if problem is not None:
            event["problem"] = problem
        report(**event)

    def stop(self):
        self.halt.set()


def first_line(path):
    try:
        with open(path, "rb") as file:
            return file.read(4096).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return None


def leftovers():
    """Programs of an earlier agent of this folder that could not end them."""
    mark = ("%s=%s" % (MARK, folder)).encode()
    for entry in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(entry, "rb") as file:
                if mark not in file.read().split(b"\0"):
                    continue
        except OSError:
            continue
        number = int(entry.split("/")[2])
        if number != os.getpid():
            yield number


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def take_lock(by, claim):
    """The lock of the work folder, which the end of this program gives back."""
    global lock_file, board_lock
    if lock_file is None:
        file = os.open(inside("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 512, 0).decode("utf-8", "replace")
            os.close(file)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return {"locked": False, "by": holder}
        # Work folders differ from user to user; the device is one.
        claim = claim or first_line("/proc/device-tree/serial-number")
        if claim:
            board_lock = socket.socket(socket.AF_UNIX)
            try:
                # A name of a socket has at most 107 bytes.
                board_lock.bind("\0controller-board-" + hashlib.sha256(claim.encode()).hexdigest())
            except OSError as error:
                board_lock.close()
                os.close(file)
                if error.errno != errno.EADDRINUSE:
                    raise
                return {"locked": False, "by": "a run with another work folder"}
        os.ftruncate(file, 0)
        os.pwrite(file, by.encode()[:512], 0)
        lock_file = file
        for number in leftovers():
            try:
                os.kill(number, signal.SIGKILL)
            except OSError:
                pass
        try:
            with open(os.path.join(folder, "put-back.json")) as kept:
                at_exit[:] = json.load(kept)
        except (OSError, ValueError):
            pass
        put_back()
    return {"locked": True, "kept": [" ".join(map(shlex.quote, argv)) for _, argv in at_exit]}


def touch(path):
    """Marks a file as used now, so that it goes last where room has to be made; whether there is one."""
    if not os.path.isfile(path):
        return False
    os.utime(path)
    return True


def read_file(number, path, most):
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise ValueError("%s is larger than %d bytes" % (path, most))
        for data in iter(lambda: file.read(CHUNK), b""):
            report(id=number, t=now(), chunk=data.decode("latin-1"))


def write_file(path, offset, data):
    with open(path, "r+b" if offset else "wb") as file:
        file.seek(offset)
        file.write(data)


def obey(order):
    number, what = order["id"], order["do"]
    answer = {}
    if what == "start":
        job = jobs[number] = Program(number, order["argv"], order["limit_s"], order.get("terminal", False))
        job.begin()
    elif what == "poll":
        job = jobs[number] = Poll(number, order["paths"], order["period_s"])
        job.begin()
    elif what == "stop":
        job = jobs.get(order["job"])
        if job is not None:
            threading.Thread(target=job.stop, daemon=True).start()
    elif what == "lock":
        answer = take_lock(order["by"], order.get("claim"))
    elif what == "sha256":
        path = inside(order["path"])
        if touch(path):
            answer["sha256"] = sha256(path)
    elif what == "exists":
        path = inside(order["path"])
        answer["exists"] = touch(path)
        answer["size"] = os.path.getsize(path) if answer["exists"] else 0
    elif what == "write":
        write_file(inside(order["path"]), order["offset"], base64.b64decode(order["data"]))
    elif what == "make":
        os.makedirs(inside(order["path"]), mode=0o700, exist_ok=True)
    elif what == "rename":
        os.replace(inside(order["from"]), inside(order["to"]))
    elif what == "remove":
        path = inside(order["path"])
        if os.path.isfile(path):
            os.remove(path)
    elif what == "read":
        read_file(number, inside(order["path"]), order["most"])
    elif what == "look":
        found = []
        for pattern in order["patterns"]:
            for path in sorted(glob.glob(pattern))[:256]:
                found.append([path, first_line(path)])
        answer["files"] = found
    elif what == "which":
        places = os.environ.get("PATH", os.defpath).split(os.pathsep) + order.get("places", [])
        path = shutil.which(os.path.expanduser(order["name"]), path=os.pathsep.join(places))
        # Programs run in another folder than this one.
        answer["path"] = path and os.path.abspath(path)
    elif what == "make room":
        answer["bytes"] = make_room(order["wanted"], order["folders"])
    elif what == "clock":
        answer["real_ns"] = int(time.time() * 1e9)
    elif what == "at exit":
        at_exit[:] = [entry for entry in at_exit if entry[0] != order["name"]]
        if order.get("argv"):
            at_exit.append([order["name"], order["argv"]])
        keep_settings()
    else:
        raise ValueError("unknown order %s" % what)
    report(id=number, t=now(), done=True, **answer)


def keep_settings():
    """What is still to be put back, in a file: a board that loses power in between is set right the next time."""
    path = os.path.join(folder, "put-back.json")
    if not at_exit:
        if os.path.exists(path):
            os.remove(path)
        return
    with open(path + ".part", "w") as file:
        json.dump(at_exit, file)
    os.replace(path + ".part", path)


def put_back():
    failed = []
    while at_exit:
        name, argv = at_exit.pop()
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, cwd=folder, preexec_fn=os.setsid)
            try:
                if process.wait(20.0) == 0:
                    continue
            except subprocess.TimeoutExpired:
                send_signal(process, signal.SIGKILL)
        except OSError:
            pass
        failed.insert(0, [name, argv])
    at_exit[:] = failed
    if lock_file is not None:
        keep_settings()


def make_room(wanted, places):
    """Free bytes, after the files of some folders that were not used for longest have gone, where that is too little."""
    def free():
        stat = os.statvfs(folder)
        return stat.f_bavail * stat.f_frsize

    places = [place for place in map(inside, places) if os.path.isdir(place)]
    files = [os.path.join(place, name) for place in places for name in os.listdir(place)]
    for path in sorted(files, key=os.path.getmtime):
        if free() >= wanted:
            break
        os.remove(path)
    return free()


def finish():
    finishing.acquire()  # And never released: a second call waits for the end.
    try:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    except ValueError:
        pass  # Only the main thread may, and it is stuck.
    stopping = [threading.Thread(target=job.stop, daemon=True) for job in list(jobs.values())]
    for thread in stopping:
        thread.start()
    deadline = time.monotonic() + 4.0
    while jobs and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        put_back()
    finally:
        os._exit(0)


def listen():
    """Queues orders as they come, and answers empty lines at once, also during an order."""
    global received
    rest = b""
    while True:
        try:
            data = os.read(0, 65536)
        except OSError:
            data = b""
        if not data:
            finish()
        received = time.monotonic()
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if line.strip():
                orders.put(line)
            else:
                report()


def watch():
    """Ends everything when nothing has been received for long, also where an answer cannot be sent."""
    while time.monotonic() - received < SILENCE:
        time.sleep(1.0)
    finish()


def main():
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o077)
    try:
        os.makedirs(folder, exist_ok=True)
        os.close(os.open(inside("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        report(problem="the work folder cannot be used: %s" % error)
        sys.exit(1)
    report(hello=VERSION, t=now(), folder=folder, python=sys.version.split()[0], boot=first_line("/proc/sys/kernel/random/boot_id"),
         model=first_line("/proc/device-tree/model") or first_line("/sys/firmware/devicetree/base/model"),
         release=first_line("/etc/nv_tegra_release"), serial=first_line("/proc/device-tree/serial-number"),
         machine=os.uname().nodename)
    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=watch, daemon=True).start()
    # Programs are started by this thread alone: the kernel ends them when the thread that started them ends.
    while True:
        try:
            line = orders.get(timeout=1.0)
        except queue.Empty:
            continue
        number = None
        try:
            order = json.loads(line.decode())
            number = order["id"]
            obey(order)
        except Exception as error:  # A failed order is reported, and the next one carried out.
            report(id=number, t=now(), problem="%s: %s" % (type(error).__name__, error))


try:
    main()
except Exception:
    traceback.print_exc()
    os._exit(1)
except SystemExit:
    finish()
