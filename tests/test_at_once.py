# SPDX-License-Identifier: GPL-2.0
"""Two at once, in containers with one cache, and after a kill: each has a whole result."""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mirror import Key, Mirror
from project import slow
from toy import Toy, edit, git

from avic.aside import aside, put, replaced, sweep

# As a container: its first process is 1, whatever runs outside.
CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]
SLOW_GIT = """\
#!/bin/sh
case "$*" in *clone*) sleep 1 ;; esac
exec /usr/bin/git "$@"
"""


def containers() -> bool:
    return subprocess.run([*CONTAINER, "true"], stderr=subprocess.DEVNULL).returncode == 0


class AtOnce(Toy):
    def run_at_once(self, number: int, *prefix: str, verb: str = "fetch") -> list[subprocess.CompletedProcess[str]]:
        slow = self.root / "slow"
        slow.mkdir(exist_ok=True)
        (slow / "git").write_text(SLOW_GIT)
        (slow / "git").chmod(0o755)

        def one(_: int) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*prefix, self.project / "scripts" / verb], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                env=self.caller() | {"PATH": f"{slow}:{os.environ['PATH']}"},
            )  # fmt: skip

        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(one, range(number)))

    def all_have_the_same(self, said: list[subprocess.CompletedProcess[str]]) -> Path:
        self.assertEqual({each.returncode for each in said}, {0}, [each.stderr for each in said])
        (folder,) = {each.stdout for each in said}
        self.assertEqual(git(Path(folder.strip()), "status", "--porcelain"), "")
        self.assertEqual(list(self.cache.glob("base/toy/.new*")), [])
        return Path(folder.strip())

    def test_six_fetches_of_a_new_tree(self) -> None:
        self.all_have_the_same(self.run_at_once(6))

    @unittest.skipUnless(containers(), "needs a PID namespace")
    def test_two_containers_with_one_cache(self) -> None:
        self.all_have_the_same(self.run_at_once(3, *CONTAINER))

    @unittest.skipUnless(containers(), "needs a PID namespace")
    def test_applies_in_two_containers(self) -> None:
        self.make_stack()
        shutil.rmtree(self.cache)
        self.all_have_the_same(self.run_at_once(3, *CONTAINER, verb="apply"))

    @unittest.skipUnless(containers(), "needs a mount namespace")
    def test_apply_in_a_container_with_its_own_tmp(self) -> None:
        """Git must not take another container's worktree for one that is gone."""
        self.make_stack()
        tmp, go, tools = self.root / "tmp", self.root / "go", self.root / "tools"
        for folder in (tmp, tools):
            folder.mkdir()
        (tools / "git").write_text(
            f'#!/bin/sh\ncase "$*" in *" am "*) : >{self.root}/began; while [ ! -e {go} ]; do sleep 0.05; done ;; esac\n'
            'exec /usr/bin/git "$@"\n'
        )
        (tools / "git").chmod(0o755)
        first = subprocess.Popen(
            [self.project / "scripts/apply"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.caller() | {"PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(tmp)},
        )  # fmt: skip
        while not (self.root / "began").exists():
            self.assertIsNone(first.poll())
            time.sleep(0.02)
        other = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs {tmp} && exec {self.project}/scripts/apply"],
            env=self.caller() | {"TMPDIR": str(tmp)}, capture_output=True, text=True,
        )  # fmt: skip
        go.touch()
        out, error = first.communicate(timeout=60)
        self.assertEqual((first.returncode, other.returncode), (0, 0), f"{error}\n{other.stderr}")
        self.assertEqual(out, other.stdout)

    @unittest.skipUnless(containers(), "needs a PID namespace")
    def test_leftover_of_another_version(self) -> None:
        """Of a run that was killed as process 1: nothing of it may get into a base."""
        left = self.cache / "base/toy/.new.1"
        for name in ("tree", "unpacked/linux-0.9", "."):
            (left / name).mkdir(parents=True, exist_ok=True)
            (left / name / "old-file").write_text("old\n")
        folder = self.all_have_the_same(self.run_at_once(1, *CONTAINER))
        self.assertEqual(list(folder.rglob("old-file")), [])

    def test_killed(self) -> None:
        """What it leaves is swept by the next run, and only once it is dead, with all it has started."""
        slow = self.root / "bin"
        slow.mkdir()
        (slow / "git").write_text(SLOW_GIT.replace("sleep 1", "exec sleep 60"))
        (slow / "git").chmod(0o755)
        process = subprocess.Popen(
            [self.project / "scripts/fetch"], env=self.caller() | {"PATH": f"{slow}:{os.environ['PATH']}"},
            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while not (found := list(self.cache.glob("base/toy/.new.*"))):
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        time.sleep(0.5)
        sweep(self.cache / "base/toy")
        self.assertEqual(list(self.cache.glob("base/toy/.new.*")), found, "it was still in use")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.assertTrue(found[0].exists())
        self.script("fetch")
        self.assertEqual(list(self.cache.glob("base/toy/.new.*")), [])

    def test_killed_while_git_adds_a_worktree(self) -> None:
        """Git keeps what is half made, and then adds no other."""
        repo = self.make_stack()
        for gitdir, commondir in ((None, None), ("", None), (f"{repo.parent}/.new.gone/tree/.git\n", "")):
            entry = repo / ".git/worktrees/tree"
            entry.mkdir(parents=True)
            (entry / "locked").write_text("initializing")
            for name, text in (("gitdir", gitdir), ("commondir", commondir)):
                if text is not None:
                    (entry / name).write_text(text)
            (repo / ".git/avic.applied").unlink(missing_ok=True)
            for verb in ("apply", "refresh"):
                self.script(verb, RESET="1")
            self.assertFalse(entry.exists())

    def test_interrupt_of_apply_while_it_fetches(self) -> None:
        """Ctrl-C, or a signal for apply alone: 1.5 GB once stayed for ever."""
        slow = self.root / "bin"
        slow.mkdir()
        (slow / "git").write_text(SLOW_GIT.replace("sleep 1", "sleep 2"))
        (slow / "git").chmod(0o755)
        for whole in (True, False):
            process = subprocess.Popen(
                [self.project / "scripts/apply"], env=self.caller() | {"PATH": f"{slow}:{os.environ['PATH']}"},
                stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            while not list(self.cache.glob("base/toy/.new.*")):
                self.assertIsNone(process.poll())
                time.sleep(0.02)
            if whole:
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.terminate()
            self.assertEqual(process.wait(timeout=60), 130 if whole else 143)
            self.assertEqual(list(self.cache.glob("base/toy/.new.*")), [])


class Meanwhile(Toy):
    """Somebody goes on to work while a script runs: nothing of it is lost, and none of it is taken for done."""

    def setUp(self) -> None:
        super().setUp()
        self.repo = self.make_stack()
        self.script("apply")
        # What stands is not applied again.
        (self.repo / ".git/avic.applied").unlink()

    def meanwhile(self, command: str) -> dict[str, str]:
        """What runs once, when the script applies its first patch: an environment for the script."""
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        once = self.root / "once"
        once.unlink(missing_ok=True)
        (tools / "git").write_text(
            f'#!/bin/bash\ncase "$*" in *" am "*) [ -e {once} ] || {{ touch {once}; cd {self.repo}; {command}; }} >&2 </dev/null ;; esac\n'
            f'exec {shutil.which("git")} "$@"\n'
        )
        (tools / "git").chmod(0o755)
        return {"PATH": f"{tools}:{os.environ['PATH']}"}

    COMMIT = "sed -i 's/^line 55 of/my line 55 of/' arch/x86/kvm/x86.c; git -c user.name=a -c user.email=a commit -qam 'KVM: SVM: Mine'"

    def mine(self) -> None:
        """The commit is there, and no script drops it."""
        self.assertEqual(git(self.repo, "log", "-1", "--format=%s", "stack"), "KVM: SVM: Mine")
        self.refused("apply", 1, "commits that patches/toy lacks", "scripts/refresh")
        self.script("refresh")
        self.assertIn("0004-mine.patch", self.content())

    def test_commit_while_it_refreshes(self) -> None:
        said = self.script("refresh", **self.meanwhile(self.COMMIT)).stdout
        self.assertIn("3 patches in patches/toy", said)
        self.mine()

    def test_commit_while_it_applies(self) -> None:
        self.refused("apply", 1, "branch stack", "has moved meanwhile", "run again", **self.meanwhile(self.COMMIT))
        self.mine()

    def test_rebase_while_it_applies(self) -> None:
        edit = "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git -c user.name=a -c user.email=a rebase -q -i base"
        self.refused("apply", 1, "is in the middle of a rebase", **self.meanwhile(edit))
        self.assertTrue((self.repo / ".git/rebase-merge").exists())

    def test_edit_of_patches_while_it_refreshes(self) -> None:
        for what in ("echo '# mine' >>{}/series", "echo >{}/0004-mine.patch", "sed -i s/Why/Mine/ {}/0002-toy-two.patch"):
            with self.subTest(what):
                before = self.content()
                command = what.format(self.patches)
                self.refused("refresh", 1, "patches/toy has changed meanwhile: run again", **self.meanwhile(command))
                self.assertNotEqual(self.content(), before)
                for name in self.content().keys() - before.keys():
                    (self.patches / name).unlink()
                for name, text in before.items():
                    (self.patches / name).write_text(text)

class Killed(Toy):
    """A script, and the git that it had started, by SIGKILL: git's locks are still there."""

    LOCKS = ("index.lock", "HEAD.lock", "packed-refs.lock", "refs/notes/slug.lock", "refs/heads/stack.lock")

    def setUp(self) -> None:
        super().setUp()
        self.make_stack()
        self.repo = Path(self.script("apply").stdout.strip())
        # Something to apply anew.
        edit(self.patches / "0003-toy-three.patch", "Why.", "Why not.")

    def leave(self, killed: bool, *names: str) -> None:
        """What is left if a script was killed, or only a git that the user had started."""
        for name in names:
            (self.repo / ".git" / name).parent.mkdir(exist_ok=True)
            (self.repo / ".git" / name).touch()
        (self.repo / ".git/avic.lock").write_text("at work\n" if killed else "")

    @slow
    def test_what_it_leaves_is_removed(self) -> None:
        self.leave(True, *self.LOCKS)
        self.script("apply")
        self.assertEqual([name for name in self.LOCKS if (self.repo / ".git" / name).exists()], [])
        self.assertEqual((self.repo / ".git/avic.lock").read_text(), "")

    def test_what_is_not_ours_stays(self) -> None:
        """A git that the user has killed, or that is at work."""
        self.leave(False, self.LOCKS[-1])
        self.refused("apply", 1, "File exists")
        with subprocess.Popen(["git", "-C", self.repo, "cat-file", "--batch"], stdin=subprocess.PIPE) as process:
            self.leave(True, self.LOCKS[-1])
            self.refused("apply", 1, "File exists")
            process.communicate(b"")
        self.leave(True, self.LOCKS[-1])
        self.script("apply")


class OneAptRoot(Toy):
    def test_two_moved(self) -> None:
        """Apt's own lock once said `check the network`."""
        key = Key()
        self.addCleanup(key.close)
        mirror = Mirror(self.root, self.tree, key)
        self.addCleanup(mirror.close)
        apt = self.root / "apt"
        (apt / "lists").mkdir(parents=True)
        (apt / "sources.list").write_text(f"deb {mirror.uri} bookworm main\n")
        (apt / "apt.conf").write_text(
            f'Dir::Etc::SourceList "{apt}/sources.list";\nDir::Etc::SourceParts "/dev/null";\nDir::State::Lists "{apt}/lists";\n'
        )
        self.env |= {"APT_CONFIG": str(apt / "apt.conf"), "AVIC_KEYRING": str(key.keyring), "TREE": ""}
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda _: self.script("moved"), range(3)))
        self.assertEqual(len({each.stdout for each in said}), 1)


class Folders(Toy):
    """The same for what Python makes."""

    def test_two_replace_one_folder(self) -> None:
        target = self.root / "made"

        def one(number: int) -> None:
            for _ in range(20):
                with replaced(target) as new:
                    (new / "who").write_text(str(number))

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, range(4)))
        self.assertRegex((target / "who").read_text(), r"^\d$")
        self.assertEqual(list(self.root.glob(".new*")), [])

    def test_two_put_one_folder(self) -> None:
        target = self.root / "made"

        def one(number: int) -> None:
            for _ in range(20):
                with aside(self.root) as place:
                    (place / "new").mkdir()
                    (place / "new/who").write_text(str(number))
                    put(place / "new", target)

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, range(4)))
        self.assertRegex((target / "who").read_text(), r"^\d$")
        self.assertEqual(list(self.root.glob(".new*")), [])

    def written_for_a_moment_more(self, program: str, *command: str) -> None:
        """Interrupt a program whose grandchild writes into `made` until 0.3 s after that."""
        folder = self.root / "made"
        writer = (
            "import pathlib, signal, sys, time\n"
            "def more(*_):\n    global end; end = time.monotonic() + 0.3\n"
            "signal.signal(signal.SIGINT, more)\n"
            "end, number = 1e9, 0\n"
            "while time.monotonic() < end:\n"
            f"    try: pathlib.Path({str(folder)!r}, 'in', str(number)).write_text('')\n"
            "    except FileNotFoundError: break\n"
            "    number += 1\n"
        )
        (self.root / "writer").write_text(writer)
        process = subprocess.Popen(
            [*command, program], cwd=self.root, start_new_session=True, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(self.project / "scripts"), "AVIC_CACHE": str(self.root)},
        )  # fmt: skip
        while not (folder / "in/9").exists():
            self.assertIsNone(process.poll(), "it ended too early")
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
        self.assertFalse(folder.exists(), error)

    def test_interrupted_while_a_grandchild_writes(self) -> None:
        start = f"{sys.executable} writer & sleep 60"
        self.written_for_a_moment_more(
            f". {self.project}/scripts/lib.sh; mkdir -p made/in; aside+=(made); bash -c '{start}'", "bash", "-c"
        )

    def test_interrupted_while_a_grandchild_writes_in_python(self) -> None:
        self.written_for_a_moment_more(
            "import os, subprocess, tempfile; from pathlib import Path\n"
            "from avic.aside import aside; from avic.process import unwind_on_signals\n"
            "unwind_on_signals()\n"
            "def made(**_): os.makedirs('made/in'); return 'made'\n"
            "tempfile.mkdtemp = made\n"
            f"with aside(Path('.').absolute()): subprocess.run(['sh', '-c', '{sys.executable} writer & sleep 60'])\n",
            sys.executable, "-c",
        )  # fmt: skip

    def killed_in(self, code: str) -> None:
        program = (
            "import os, pathlib, signal, sys; from pathlib import Path; from avic.aside import replaced\n"
            f"def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n{code}"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=self.root, env=os.environ | {"PYTHONPATH": str(self.project / "scripts")}
        )
        self.assertEqual(done.returncode, -signal.SIGKILL)

    def test_killed_while_it_makes(self) -> None:
        self.killed_in("with replaced(Path('made').absolute()) as new:\n    (new / 'half').write_text('x'); die()\n")
        self.assertFalse((self.root / "made").exists())
        with replaced(self.root / "made"):
            pass
        self.assertEqual(list(self.root.glob(".new*")), [])
        self.assertEqual(list((self.root / "made").iterdir()), [])

    def test_killed_while_it_replaces(self) -> None:
        """The old folder is put back: it may be the only copy."""
        (self.root / "made").mkdir()
        (self.root / "made/mine").write_text("mine\n")
        self.killed_in(
            "rename = Path.rename\n"
            "def once(self, to):\n    rename(self, to); die()\n"
            "with replaced(Path('made').absolute()) as new:\n    Path.rename = once\n"
        )
        self.assertFalse((self.root / "made").exists())
        sweep(self.root)
        self.assertEqual((self.root / "made/mine").read_text(), "mine\n")
        self.assertEqual(list(self.root.glob(".new*")), [])

    def test_failure_of_what_is_done_with_it(self) -> None:
        (self.root / "made").mkdir()
        (self.root / "made/mine").write_text("mine\n")
        with self.assertRaises(SystemExit), replaced(self.root / "made", lambda: sys.exit(1)):
            pass
        self.assertEqual((self.root / "made/mine").read_text(), "mine\n")


if __name__ == "__main__":
    unittest.main()
