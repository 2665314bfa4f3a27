# SPDX-License-Identifier: GPL-2.0
"""The caller's environment and settings decide nothing: each case is the same as without it."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from project import TOP, slow
from toy import Toy, edit, git

HOOK = "#!/bin/sh\necho a hook ran >&2\nexit 1\n"
# Settings of git that others have, each of which once changed a result or stopped a run.
SETTINGS = """\
[core]
	autocrlf = true
	eol = crlf
	hooksPath = {root}/hooks
	attributesFile = {root}/attributes
	excludesFile = {root}/excludes
[clone]
	defaultRemoteName = upstream
[commit]
	gpgsign = true
[user]
	useConfigOnly = true
[url "https://localhost:9/"]
	insteadOf = file://
[protocol "file"]
	allow = never
[init]
	templateDir = {root}/template
	defaultBranch = trunk
[am]
	threeWay = true
[diff]
	noprefix = true
[apply]
	whitespace = error-all
[status]
	showUntrackedFiles = all
"""


def have(program: str) -> bool:
    return shutil.which(program) is not None


class Caller(Toy):
    """What the scripts make, with and without something in the caller's environment."""

    def made(self, **env: str) -> tuple[str, str, dict[str, str]]:
        """Base, stack and patches, out of an empty cache."""
        shutil.rmtree(self.cache, ignore_errors=True)
        repo = Path(self.script("apply", **env).stdout.strip())
        self.script("refresh", **env)
        self.script("fit", **env)
        return git(repo, "rev-parse", "base", "base^{tree}"), git(repo, "rev-parse", "stack"), self.content()

    def setUp(self) -> None:
        super().setUp()
        # Line ends are something that settings like to change.
        (self.tree / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--message=line ends")
        self.make_stack()
        self.want = self.made()

    def same(self, **env: str) -> None:
        self.assertEqual(self.made(**env), self.want)

    def other_repository(self) -> Path:
        """A repository of the caller's, from which a hook runs."""
        other = self.root / "other"
        other.mkdir()
        git(other, "init", "--quiet")
        (other / "file").write_text("mine\n")
        git(other, "add", "--all")
        git(other, "commit", "--quiet", "--message=mine")
        return other

    def state(self, repo: Path) -> tuple[str, ...]:
        files = sorted(path for path in (repo / ".git").rglob("*") if path.is_file())
        return (git(repo, "status", "--porcelain"), *(f"{path} {path.read_bytes()!r}" for path in files))

    def test_run_by_a_git_hook(self) -> None:
        other = self.other_repository()
        before = self.state(other)
        self.same(
            GIT_DIR=f"{other}/.git", GIT_WORK_TREE=str(other), GIT_INDEX_FILE=f"{other}/.git/index", GIT_PREFIX="arch/",
            GIT_AUTHOR_NAME="A U Thor", GIT_AUTHOR_EMAIL="a@localhost", GIT_AUTHOR_DATE="@1 +0000",
            GIT_COMMITTER_DATE="@1 +0000",
        )  # fmt: skip
        self.assertEqual(self.state(other), before)

    @slow
    def test_the_tests_run_by_a_git_hook(self) -> None:
        """One toy test once moved the branch of who pushed to a commit `toy`."""
        other = self.other_repository()
        before = self.state(other)
        run = subprocess.run(
            [sys.executable, TOP / "tests/run", "--quick", "fit.Fit.test_whole"],
            env=os.environ | {"GIT_DIR": f"{other}/.git", "GIT_INDEX_FILE": f"{other}/.git/index"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.assertIn("1 passed, 0 failed", run.stdout)
        self.assertEqual(self.state(other), before)

    @slow
    def test_settings_of_git(self) -> None:
        for name in ("hooks", "template/hooks"):
            (self.root / name).mkdir(parents=True)
            for hook in ("post-checkout", "pre-commit", "applypatch-msg", "reference-transaction"):
                (self.root / name / hook).write_text(HOOK)
                (self.root / name / hook).chmod(0o755)
        (self.root / "attributes").write_text("* text eol=crlf\n")
        (self.root / "excludes").write_text("*\n")
        settings = self.root / "settings"
        settings.write_text(SETTINGS.format(root=self.root))
        home = self.root / "home"
        (home / ".config/git").mkdir(parents=True)
        shutil.copy(settings, home / ".gitconfig")
        shutil.copy(self.root / "attributes", home / ".config/git/attributes")
        shutil.copy(self.root / "excludes", home / ".config/git/ignore")
        with self.subTest("in a file that a variable names"):
            self.same(GIT_CONFIG_GLOBAL=str(settings))
        with self.subTest("in the home folder"):
            self.env["HOME"] = str(home)
            for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
                del self.env[name]
            self.same()
        with self.subTest("in variables"):
            self.same(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="core.autocrlf", GIT_CONFIG_VALUE_0="true")
        with self.subTest("a template"):
            self.same(GIT_TEMPLATE_DIR=str(self.root / "template"))

    def test_cdpath(self) -> None:
        (self.root / "scripts").mkdir()
        shutil.copytree(self.project / "patches", self.root / "patches")
        at = os.getcwd()
        self.addCleanup(os.chdir, at)
        os.chdir(self.project)
        for path in (f".:{self.root}", f"{self.root}:/usr", "/usr:."):
            said = subprocess.run(
                ["scripts/fetch"], env=self.caller() | {"CDPATH": path},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            self.assertEqual((said.returncode, said.stderr), (0, ""), path)
            self.assertTrue(Path(said.stdout.strip()).is_dir(), said.stdout)

    def test_what_the_interpreters_obey(self) -> None:
        """Before a line of ours is read."""
        start, modules = self.root / "start", self.root / "modules"
        start.write_text("exit 3\n")
        modules.mkdir()
        for name in ("argparse", "dataclasses", "fcntl"):
            (modules / f"{name}.py").write_text("raise SystemExit(3)\n")
        for theirs in (
            {"BASH_ENV": str(start), "SHELLOPTS": "noclobber:noglob", "BASHOPTS": "failglob", "BASH_FUNC_git%%": "() { exit 3; }"},
            {"PYTHONPATH": str(modules), "PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2", "PYTHONIOENCODING": "ascii:strict"},
        ):  # fmt: skip
            with self.subTest(theirs):
                self.same(**theirs)
                self.script("fetch", **theirs)

    def test_umask(self) -> None:
        """What is packed does not depend on it, and what others need is readable."""
        packed = []
        for mask in ("0022", "0077", "0002"):
            folder = self.root / f"root-{mask}"
            script = (
                f"umask {mask}; . {self.project}/scripts/lib.sh; mkdir -p {folder}/bin; echo >{folder}/bin/file\n"
                f"pack_initramfs {folder} {folder}.cpio\n"
            )
            subprocess.run(["bash", "-c", script], env=self.caller(), check=True)
            packed.append(Path(f"{folder}.cpio").read_bytes())
        self.assertEqual(packed[0], packed[1])
        self.assertEqual(packed[0], packed[2])

    def test_no_home(self) -> None:
        env = {"PATH": os.environ["PATH"], **self.env}
        for home in ({}, {"HOME": ""}):
            for verb in ("fetch", "fit"):
                said = subprocess.run([self.project / "scripts" / verb], env=env | home, capture_output=True, text=True)
                self.assertEqual((said.returncode, said.stderr), (0, ""))

    @unittest.skipUnless(os.geteuid() == 0 and have("setpriv"), "needs root to become somebody else")
    def test_nobody_with_no_home(self) -> None:
        """A container's user whom /etc/passwd does not know."""
        self.root.chmod(0o755)
        nobody = ["setpriv", "--reuid=54321", "--clear-groups"]
        env = {"PATH": os.environ["PATH"], **self.env}
        del env["AVIC_CACHE"]
        for verb in ("fetch", "fit"):
            said = subprocess.run([*nobody, self.project / "scripts" / verb], env=env, capture_output=True, text=True)
            self.assertEqual((said.returncode, said.stderr), (2, f"{verb}: no home folder: set HOME, or AVIC_CACHE\n"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root to have another's HOME")
    def test_home_of_another(self) -> None:
        """As sudo may leave it; both fetch and fit would make a cache there."""
        home = self.root / "home"
        home.mkdir()
        os.chown(home, 54321, 54321)
        env = {"PATH": os.environ["PATH"], **self.env, "HOME": str(home)}
        cache = env.pop("AVIC_CACHE")
        for verb in ("fetch", "fit"):
            said = subprocess.run([self.project / "scripts" / verb], env=env, capture_output=True, text=True)
            self.assertEqual(said.returncode, 2)
            self.assertRegex(said.stderr, rf"^{verb}: HOME={home} belongs to another user than root: .*set AVIC_CACHE\n$")
            self.assertEqual([*home.iterdir()], [])
            self.assertEqual(subprocess.run([self.project / "scripts" / verb], env=env | {"AVIC_CACHE": cache}).returncode, 0)

    def test_cache_beside_the_caller(self) -> None:
        """A relative AVIC_CACHE is one folder for all that is started from there."""
        at = os.getcwd()
        self.addCleanup(os.chdir, at)
        os.chdir(self.root)
        self.script("fit", AVIC_CACHE="here")
        repo = Path(self.script("apply", AVIC_CACHE="here").stdout.strip())
        self.assertTrue(repo.is_relative_to(self.root / "here"), repo)
        self.assertFalse(list(self.project.glob("**/here")))

    def test_encoding_of_the_caller(self) -> None:
        """As of who has a Latin-1 locale; that one is not on each machine, ASCII is."""
        edit(self.patches / "series", "# toy stack", "# toy stäck")
        ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        self.script("refresh", **ascii_only)
        self.assertIn("# toy stäck", (self.patches / "series").read_text(encoding="utf-8"))
        self.script("fit", **ascii_only)

    def test_what_make_gets(self) -> None:
        """Nothing of a kernel developer's shell gets into a build here."""
        theirs = {
            "ARCH": "arm64", "CROSS_COMPILE": "aarch64-linux-gnu-", "LLVM": "1", "KCFLAGS": "-O0", "KBUILD_OUTPUT": "/x",
            "KCONFIG_CONFIG": "/x/.config", "LOCALVERSION": "-mine", "W": "1", "C": "2", "CFLAGS": "-m32",
            "MAKEFLAGS": "k", "MAKEFILES": "/x/mk", "LANGUAGE": "de", "LC_MESSAGES": "de_DE.UTF-8", "CPATH": "/x",
        }  # fmt: skip
        program = "from avic.build import environment\nwith environment() as env:\n    print(*env)"
        for command in (
            [sys.executable, "-c", program],
            ["bash", "-c", f". {self.project}/scripts/lib.sh; compgen -e"],
        ):
            said = subprocess.run(
                command, env=self.caller() | theirs | {"PYTHONPATH": str(self.project / "scripts")},
                stdout=subprocess.PIPE, text=True, check=True,
            ).stdout.split()  # fmt: skip
            self.assertEqual(sorted(set(theirs) & set(said)), [])

    def test_bash_and_python_know_the_same(self) -> None:
        """One list of names, read by two readers."""
        theirs = {"GIT_DIR": "/x", "GIT_AUTHOR_NAME": "Jo", "GIT_CONFIG_GLOBAL": "/x/config", "LC_TIME": "de", "TAR_OPTIONS": "x"}
        show = "env --null --unset=_ --unset=SHLVL --unset=PWD --unset=OLDPWD"
        env = {"PATH": os.environ["PATH"], "HOME": "/x", "PYTHONPATH": str(self.project / "scripts")} | self.env | theirs
        python = f"import avic, avic.paths, subprocess; subprocess.run({show.split()!r})"
        # Where they are one below the other, too: the caller's is what the first one was given.
        said = [
            subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
            for command in (
                [sys.executable, "-c", python],
                ["bash", "-c", f". {self.project}/scripts/lib.sh; exec {show}"],
                [sys.executable, "-c", "import avic, avic.paths, subprocess, sys; subprocess.run(sys.argv[1:])",
                 "bash", "-c", f". {self.project}/scripts/lib.sh; exec {show}"],
            )
        ]  # fmt: skip
        python_has, bash_has, both_have = ({*each.split("\0")} for each in said)
        self.assertEqual(python_has, bash_has)
        self.assertEqual(python_has, both_have)
        self.assertIn("CALLERS_GIT_AUTHOR_NAME=Jo", bash_has)
        self.assertIn("CALLERS_GIT_CONFIG_GLOBAL=/x/config", bash_has)


@unittest.skipUnless(os.geteuid() == 0, "needs root to give files away")
class Owners(Toy):
    """A tree, a cache or a project of another user."""

    def give_away(self, folder: Path) -> None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 54321, 54321, follow_symlinks=False)

    def test_tree_of_another_user(self) -> None:
        self.give_away(self.tree)
        home = self.root / "home"
        home.mkdir()
        self.env |= {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
        for verb in ("fetch", "apply"):
            with self.subTest(verb):
                self.refused_by("fetch", verb)
        # What the advice says helps, from wherever it is read.
        said = self.script("fetch", 2).stderr
        subprocess.run(
            ["git", "config", "--global", "--add", "safe.directory", said.rpartition("safe.directory ")[2].strip()],
            env=self.caller(), check=True,
        )  # fmt: skip
        self.script("apply")

    def refused_by(self, by: str, verb: str) -> None:
        error = self.script(verb, 2).stderr
        self.assertIn(f"{by}: TREE={self.tree} belongs to another user (54321): give a clone of your own", error)
        self.assertIn(f"git config --global --add safe.directory {self.tree}", error)

    def test_a_tree_that_is_no_git_tree_is_none(self) -> None:
        shutil.rmtree(self.tree / ".git")
        self.give_away(self.tree)
        self.refused("fetch", 2, "is not a git tree", "git init")

    def test_a_tree_without_a_commit(self) -> None:
        """A git tree it is, so git init is no advice."""
        shutil.rmtree(self.tree / ".git")
        git(self.tree, "init", "--quiet")
        self.assertIn("has no commit: commit", self.refused("fetch", 2, "TREE="))

    def test_a_damaged_tree(self) -> None:
        (self.tree / ".git/config").write_text("[broken\n")
        self.refused("fetch", 2, "cannot be read", "bad config line 1")

    def test_cache_of_another_user(self) -> None:
        """As a cache that a container has mounted."""
        self.make_stack()
        self.give_away(self.cache)
        self.script("apply")
        self.script("fit")

    def test_cache_that_cannot_be_written(self) -> None:
        self.cache.mkdir()
        for verb in ("fetch", "apply"):
            env = self.caller()
            self.root.chmod(0o755)
            said = subprocess.run(
                ["setpriv", "--reuid=54321", "--clear-groups", "git", "-c", "safe.directory=*", "--version"], env=env, stdout=subprocess.PIPE
            )
            self.assertEqual(said.returncode, 0)
            settings = self.root / "settings"
            settings.write_text("[safe]\n\tdirectory = *\n")
            said = subprocess.run(
                ["setpriv", "--reuid=54321", "--clear-groups", self.project / "scripts" / verb],
                env=env | {"GIT_CONFIG_GLOBAL": str(settings)}, capture_output=True, text=True,
            )  # fmt: skip
            self.assertEqual(said.returncode, 2, said)
            self.assertIn(f"cannot write to the cache {self.cache}", said.stderr)
            self.assertIn("set AVIC_CACHE", said.stderr)


class Identity(Toy):
    def test_broken_settings_are_not_a_missing_identity(self) -> None:
        self.make_stack()
        (self.patches / "cover").write_text("KVM: SVM: Toys\n\nThree toys.\n")
        (self.project / "patches/upstream").write_text("toy-* unsent - ## toys\n")
        settings = self.root / "settings"
        settings.write_text("[user\n")
        self.refused("export mbox --signoff", 2, "bad config line 1", str(settings), GIT_CONFIG_GLOBAL=str(settings))
        settings.write_text("")
        self.refused("export mbox --signoff", 2, "no git identity", GIT_CONFIG_GLOBAL=str(settings), HOME=str(self.root))

    def test_identity_in_the_environment(self) -> None:
        self.make_stack()
        (self.patches / "cover").write_text("KVM: SVM: Toys\n\nThree toys.\n")
        (self.project / "patches/upstream").write_text("toy-* unsent - ## toys\n")
        self.script("export mbox --signoff", GIT_AUTHOR_NAME="Jo Doe", GIT_AUTHOR_EMAIL="doe@localhost")
        mbox = (self.cache / "export/toy/mbox/avic-toy.mbox").read_text()
        self.assertIn("\nSigned-off-by: Jo Doe <doe@localhost>\n", mbox)


class Clone(unittest.TestCase):
    def test_project_cloned_with_autocrlf(self) -> None:
        """A shebang with a carriage return runs nothing."""
        with tempfile.TemporaryDirectory(prefix="avic-clone.") as folder:
            env = os.environ | {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.autocrlf", "GIT_CONFIG_VALUE_0": "true"}
            clone = ["git", "clone", "--quiet", "--depth=1", "--no-checkout", f"file://{TOP}", folder]
            subprocess.run(clone, env=env, check=True)
            shutil.copy(TOP / ".gitattributes", Path(folder, ".git/info/attributes"))
            subprocess.run(["git", "-C", folder, "checkout", "--quiet", "HEAD"], env=env, check=True)
            names = subprocess.check_output(["git", "-C", folder, "ls-files", "-z"]).decode().strip("\0").split("\0")
            paths = [Path(folder, name) for name in names]
            crlf = [str(path) for path in paths if path.is_file() and b"\r\n" in path.read_bytes()]
            mine = subprocess.run(["git", "-C", TOP, "grep", "-lI", "\r$"], stdout=subprocess.PIPE, text=True).stdout
            self.assertEqual([name for name in crlf if name.removeprefix(f"{folder}/") not in mine.split()], [])


if __name__ == "__main__":
    unittest.main()
