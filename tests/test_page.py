# SPDX-License-Identifier: GPL-2.0
"""scripts/report: what the page says, against the logs that it is made of, and in a browser.

tests/captured/cache is cut from real runs: v6.1 with a result that got worse,
v7.3 with none.  Of v6.12 and v7.2 there is nothing.
"""

from __future__ import annotations

import collections
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

from browser import Browser

from project import TOP
from avic.base import Base
from avic.page import stored

CAPTURED = TOP / "tests/captured/cache"
# Debian's, which has Debian's python3-junitparser, whatever python3 is first in PATH.
PYTHON = "/usr/bin/python3"
VOID = ("meta", "link", "br", "hr", "img", "input")


class Element:
    """What a reader can see of a page: an element, its attributes, text and children."""

    def __init__(self, tag: str, attrs: dict[str, str], up: Element | None) -> None:
        self.tag, self.attrs, self.up = tag, attrs, up
        self.children: list[Element] = []
        self.own: list[str] = []

    def all(self, tag: str = "") -> list[Element]:
        found = [self] if tag in ("", self.tag) else []
        return found + [each for child in self.children for each in child.all(tag)]

    def text(self) -> str:
        return "".join(self.own) + "".join(child.text() for child in self.children)


class Document(HTMLParser):
    """A page as a tree of elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self.here = Element("", {}, None)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(element)
        if tag not in VOID:
            self.here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, {n: v or "" for n, v in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        self.here = self.here.up

    def handle_data(self, data: str) -> None:
        self.here.own.append(data)

    def id(self, name: str) -> Element:
        found = [each for each in self.root.all() if each.attrs.get("id") == name]
        assert len(found) == 1, f"{len(found)} elements with id {name}"
        return found[0]


def statuses(text: str) -> dict[str, collections.Counter[str]]:
    """Subtest -> status -> how many, read from KTAP without our own reader."""
    found: dict[str, collections.Counter[str]] = {}
    counts: collections.Counter[str] = collections.Counter()
    for line in text.splitlines():
        if not (match := re.match(r"( *)(not ok|ok) \d+ (\S+)(?: # (\w+))?", line)):
            continue
        indent, verdict, name, word = match.groups()
        if indent:
            kind = {"SKIP": "skip", "TIMEOUT": "timeout"}.get(word or "")
            counts[kind or ("pass" if verdict == "ok" else "fail")] += 1
        else:
            found[name], counts = counts, collections.Counter()
    return found


def wrong_numbers(document: Document, ktap: str) -> list[str]:
    """Counts of the page that are not those of the KTAP, and those of the KTAP that it lacks."""
    said: dict[str, int] = {}
    for cell in document.root.all("td"):
        if "data-count" in cell.attrs:
            base, level, lane, status = cell.attrs["data-count"].split()
            said[f"{base}.{level}.{lane} {status}"] = int(cell.text())
    counted = {
        f"{name} {status}": number
        for name, counts in statuses(ktap).items()
        if ".evidence." not in name and not name.endswith(".judge.verdict")
        for status, number in counts.items()
    }
    keys = sorted(said.keys() | counted.keys())
    return [key for key in keys if said.get(key, 0) != counted.get(key, 0)] or (
        [] if said else ["the page has no number"]
    )


def judged(name: str, kind: str = "worse") -> dict[str, str]:
    """What results.json has of a judgement."""
    return {"kind": kind, "name": name, "text": name}


def build(cache: Path, folder: Path) -> str:
    """scripts/report of a cache; what it says."""
    env = os.environ | {"AVIC_CACHE": str(cache)}
    command = [TOP / "scripts/report", folder]
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


@functools.cache
def original() -> tuple[Path, str]:
    """The report of the captured cache, made once, and what scripts/report said."""
    folder = Path(tempfile.mkdtemp(prefix="avic-page."))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    return folder / "report", build(CAPTURED, folder / "report")


class Page(unittest.TestCase):
    """Makes self.cache, a copy of the captured one, to be changed before self.build()."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="avic-page."))
        self.addCleanup(shutil.rmtree, self.root)
        self.cache = self.root / "cache"
        shutil.copytree(CAPTURED, self.cache)

    def build(self) -> Document:
        self.folder = self.root / "report"
        self.said = build(self.cache, self.folder)
        return Document((self.folder / "index.html").read_text())

    def original(self) -> Document:
        """The report of the captured cache as it is; self.folder is not to be changed."""
        self.folder, self.said = original()
        return Document((self.folder / "index.html").read_text())

    def change(self, path: str, old: str, new: str) -> None:
        text = (self.cache / path).read_text()
        self.assertIn(old, text)
        (self.cache / path).write_text(text.replace(old, new))

    def state(self, document: Document) -> str:
        return next(p.attrs["data-state"] for p in document.root.all("p") if "data-state" in p.attrs)


class Numbers(Page):
    def test_numbers_are_those_of_the_ktap(self) -> None:
        """Of results.ktap beside the page, and of the machines' own KTAP."""
        document = self.original()
        text = (self.folder / "results.ktap").read_text()
        self.assertEqual(wrong_numbers(document, text), [])
        theirs = {}
        for log in (self.folder / "logs").glob("*/report/*.ktap"):
            level, machine = log.stem.split(".", 1)
            if ".again" not in machine:
                for lane, counts in statuses(log.read_text()).items():
                    theirs[f"{log.parts[-3]}.{level}.{lane}"] = counts
        ours = {name: counts for name, counts in statuses(text).items() if ".evidence." not in name and not name.endswith(".judge.verdict")}
        self.assertEqual(len(ours), 2 * 2 * 3)
        self.assertEqual(ours, theirs)

    def test_a_wrong_number_is_seen(self) -> None:
        self.original()
        text, ktap = ((self.folder / name).read_text() for name in ("index.html", "results.ktap"))
        one = re.search(r'data-count="v6.1 stack avic=1 pass">\d+', text)[0]
        document = Document(text.replace(one, re.sub(r"\d+$", "99", one)))
        self.assertEqual(wrong_numbers(document, ktap), ["v6.1.stack.avic=1 pass"])
        document = Document(re.sub(r' data-count="[^"]*"', "", text))
        self.assertIn("v6.1.stack.avic=1 pass", wrong_numbers(document, ktap))

    def test_the_matrix_is_that_of_the_evidence(self) -> None:
        document = self.original()
        counted = statuses((self.folder / "results.ktap").read_text())
        for base in ("v6.1", "v7.3"):
            for id, slug in (("W2", "irqwin-count"), ("L6", "physical-id-claim")):
                cell = [a for a in document.root.all("a") if a.attrs.get("href") == f"#{id}-{slug}-{base}"]
                counts = counted[f"{base}.evidence.{slug}"]
                self.assertIn(f"{counts['pass']}/{counts.total()}", cell[0].text())

    def test_flips_are_those_of_the_trace(self) -> None:
        document = self.original()
        said = {e.attrs["data-flips"]: e.text() for e in document.root.all() if "data-flips" in e.attrs}
        traced = {
            f"{log.parts[-3]} {log.stem}": re.search(r"#o flips (\d+)", log.read_text())[1]
            for log in (self.folder / "logs").glob("*/flips/*.ktap")
        }
        self.assertEqual(said, traced)
        self.assertEqual(said["v6.1 base"], "202")
        plots = [path.attrs["d"] for path in document.root.all("path")]
        # Each flip but the two of the VM's set-up is a step of the line.
        self.assertEqual([plot.count("V") for plot in plots], [200, 2, 2, 2])


class Words(Page):
    def test_red_leads_to_its_log(self) -> None:
        document = self.original()
        self.assertEqual(self.state(document), "red")
        self.assertIn("Worse on v6.1: avic=1,x2avic x86_64/avic_precreate_test", self.said)
        name = "avic=1,x2avic x86_64/avic_precreate_test"
        link = next(a for a in document.root.all("header")[0].all("a") if a.text() == name)
        target = document.id(link.attrs["href"][1:])
        log = target.all("pre")[0]
        self.assertIn("6264 KiB are lost", log.text())
        up = log.up
        while up and up is not target:
            if up.tag == "details":
                self.assertIn("open", up.attrs)
            up = up.up

    def test_red_evidence_leads_to_its_log(self) -> None:
        path = self.cache / "evidence/v7.3/evidence.json"
        found = json.loads(path.read_text())
        case = next(case for case in found["cases"] if case["slug"] == "irqwin-count")
        case["problems"] = ["does not pass at 3: fail exit status 254"]
        case["seen"][-1]["result"] |= {"status": "fail", "log": ["it broke here"]}
        path.write_text(json.dumps(found))
        document = self.build()
        link = next(a for a in document.root.all("a") if a.text() == "✗ 1/2")
        log = document.id(link.attrs["href"][1:]).all("pre")[0]
        self.assertIn("it broke here", log.text())
        self.assertIn("open", log.up.attrs)
        self.assertIn("v7.3: evidence irqwin-count", self.said)

    def test_red_evidence_of_a_change_that_is_gone(self) -> None:
        """The cache may be older than ci/proofs."""
        self.change("evidence/v7.3/evidence.json", '"irqwin-count"', '"renamed-since"')
        self.change("evidence/v7.3/evidence.json", '"problems": []', '"problems": ["does not pass"]')
        document = self.build()
        link = next(a for a in document.root.all("a") if a.text() == "evidence renamed-since")
        self.assertIn("evidence renamed-since", document.id(link.attrs["href"][1:]).up.text())

    def test_each_change_has_a_row(self) -> None:
        """One row each, with the change's own ID, though it shares a line of ci/proofs."""
        ids = {change.slug: change.id for change in stored.read(TOP, CAPTURED).changes}
        for series in TOP.glob("patches/*/series"):
            for slug in Base(series.parent).slugs:
                self.assertIn(slug, ids)
        ours = ("ga-log-pre-destroy", "ga-log-wake-locked", "ga-log-unregister", "ga-log-control-lock")
        self.assertEqual([ids[slug] for slug in ours], ["L3", "L4", "L5", "L8"])

    def test_every_link_leads_somewhere(self) -> None:
        document = self.original()
        ids = [each.attrs["id"] for each in document.root.all() if "id" in each.attrs]
        self.assertEqual(len(ids), len(set(ids)))
        links = {a.attrs["href"] for a in document.root.all("a")}
        self.assertGreater(len(links), 50)
        for link in links:
            with self.subTest(link):
                if link.startswith("#"):
                    self.assertIn(link[1:], ids)
                else:
                    self.assertTrue((self.folder / link).exists())

    def test_many_red_results_are_one_sentence(self) -> None:
        path = self.cache / "report/v7.3/results.json"
        found = json.loads(path.read_text())
        path.write_text(json.dumps(found | {"judgements": [judged(f"avic=0 test_{n}") for n in range(9)]}))
        document = self.build()
        self.assertIn("on v7.3: avic=0 test_0, avic=0 test_1, avic=0 test_2 and 6 more.", self.said)
        self.assertIn("avic=0 test_8", document.root.all("header")[0].text())

    def test_a_base_without_results_is_named(self) -> None:
        shutil.rmtree(self.cache / "report/v6.1")
        shutil.rmtree(self.cache / "evidence/v7.3")
        document = self.build()
        self.assertEqual(self.state(document), "incomplete")
        said = document.root.all("header")[0].text()
        self.assertIn("v6.1 (the suite, ", said)
        self.assertIn("v6.12 (the suite, the evidence, the flips)", said)
        self.assertIn("v7.3 (the evidence)", said)
        self.assertIn("make run BASE=v6.12", said)

    def test_results_that_cannot_be_read(self) -> None:
        """One line that says which; an older report stays."""
        self.build()
        before = (self.folder / "index.html").read_bytes()
        for path in ("report/v6.1/results.json", "evidence/v6.1/evidence.json", "flips/v6.1/flips.json"):
            text = (self.cache / path).read_text()
            for broken in (text[:-10], "{}"):
                (self.cache / path).write_text(broken)
                env = os.environ | {"AVIC_CACHE": str(self.cache)}
                result = subprocess.run(
                    [TOP / "scripts/report", self.folder], env=env, stderr=subprocess.PIPE, text=True
                )
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, r"^report: .* has of v6\.1 can't be read .*: make run BASE=v6\.1\n$")
            (self.cache / path).write_text(text)
        self.assertEqual((self.folder / "index.html").read_bytes(), before)

    def test_an_empty_cache_is_no_success(self) -> None:
        shutil.rmtree(self.cache)
        self.assertEqual(self.state(self.build()), "incomplete")

    def test_good(self) -> None:
        """All of v7.3 that was captured, and no other base."""
        page = stored.read(self.top("selftest-precreate"), self.cache)
        self.assertEqual((page.state, page.verdict[:20]), ("good", "Nothing got worse, a"))
        rows = page.bases[0].run.differences
        self.assertEqual([(row.name, row.verdict) for row in rows], [("x86/avic_precreate_test", "unsteady")])

    def test_an_extint_lost_on_the_stack_is_red(self) -> None:
        path = self.cache / "flips/v7.3/flips.json"
        found = json.loads(path.read_text())
        found["levels"]["stack"]["lost"] = "an ExtINT is lost (exit 2)"
        path.write_text(json.dumps(found))
        document = self.build()
        self.assertIn("; on v7.3: flips.", self.said)
        link = next(a for a in document.root.all("header")[0].all("a") if a.text() == "flips")
        self.assertEqual(link.attrs["href"], "#flips")

    def test_what_costs_more_is_told(self) -> None:
        path = self.cache / "report/v7.3/results.json"
        found = json.loads(path.read_text())
        name, text = "avic=1 x86/xapic_ipi_test", "inhibit_set_irqwin 1 -> 13"
        for kind, state in (("allowed", "incomplete"), ("costlier", "red")):
            each = judged(name, kind) | {"text": f"{name}: {text}"}
            path.write_text(json.dumps(found | {"judgements": [each]}))
            (self.cache / "report/v6.1/results.json").unlink(missing_ok=True)
            document = self.build()
            self.assertEqual(self.state(document), state)
            row = document.id("row-v7.3-avic-1-x86-xapic-ipi-test").text()
            self.assertIn(text, row)
            self.assertIn(kind, row)
        self.assertIn("on v7.3: avic=1 x86/xapic_ipi_test.", self.said)

    def test_suite_and_evidence_of_different_stacks(self) -> None:
        for kind in ("evidence", "flips"):
            self.setUp()
            self.change(f"{kind}/v7.3/{kind}.json", '"stack": "0a4ab33"', '"stack": "0ddba11"')
            page = stored.read(self.top("selftest-precreate"), self.cache)
            self.assertEqual(page.state, "incomplete")
            self.assertIn(f"v7.3 ({kind} of the suite's stack 0a4ab33)", page.verdict)

    def test_a_change_without_evidence_is_named(self) -> None:
        page = stored.read(self.top("irqwin-withdrawn", "selftest-precreate"), self.cache)
        self.assertEqual(page.state, "incomplete")
        self.assertIn("v7.3 (the evidence of irqwin-withdrawn)", page.verdict)

    def top(self, *slugs: str) -> Path:
        """A project with one base, v7.3, whose series has these changes only."""
        top = self.root / "top"
        folder = top / "patches/v7.3"
        folder.mkdir(parents=True)
        (top / "ci").symlink_to(TOP / "ci")
        (folder / "base").symlink_to(TOP / "patches/v7.3/base")
        paths = [path for slug in slugs for path in (TOP / "patches/v7.3").glob(f"????-{slug}.patch")]
        for path in paths:
            (folder / path.name).symlink_to(path)
        (folder / "series").write_text("".join(f"{path.name}\n" for path in paths))
        return top

    def test_another_runner_is_another_column(self) -> None:
        shutil.copytree(self.cache / "report/v7.3", self.cache / "report/v7.3-hardware")
        page = stored.read(TOP, self.cache)
        base = next(base for base in page.bases if base.id == "v7.3-hardware")
        self.assertEqual((base.make, base.missing), ("BASE=v7.3 RUNNER=hardware", []))
        # It has no evidence of its own.
        self.assertEqual({len(change.cells) for change in page.changes}, {len(page.bases) - 1})
        text = self.build().id("suite-v7.3-hardware").up.text()
        self.assertIn("make run BASE=v7.3 RUNNER=hardware", text)

    def test_what_was_skipped_and_why(self) -> None:
        text = self.original().root.text()
        self.assertIn("Requirement not met: kvm_cpu_has(X86_FEATURE_XSAVES)", text)
        self.assertIn("max_guest_memory_test: all of the memory", text)
        self.assertIn("calls TEST_ASSERT_EQ()", text)
        self.assertIn("no bug here, and a refactoring", text)

    def test_before_and_after(self) -> None:
        text = self.original().id("W2-irqwin-count-v6.1").text()
        self.assertIn("vCPU0's ExtINT is lost", text)
        self.assertIn("passes from 6 on", text)
        self.assertIn("BASE=v6.1 RERUN=1 scripts/evidence irqwin-count", text)

    def test_versions(self) -> None:
        text = self.original().root.text()
        for exact in ("6.1.192-2", "gcc (Debian 12.2.0", "QEMU emulator version 10.0.13", "b1f781a", "3429f93"):
            self.assertIn(exact, text)

    def test_nothing_that_was_logged_is_markup(self) -> None:
        evil = "<script>alert(1)</script>"
        self.change("report/v6.1/results.json", "6264 KiB are lost", f"{evil}&amp; 6264 KiB are lost")
        self.change("report/v6.1/results.json", "exit status 254", f"exit status {evil}")
        self.change("evidence/v6.1/evidence.json", "vCPU0's ExtINT is lost", f"{evil} vCPU0's ExtINT is lost")
        document = self.build()
        self.assertEqual(document.root.all("script"), [])
        self.assertIn(f"{evil}&amp; 6264 KiB", document.root.text())

    def test_a_folder_that_is_no_report_is_left_alone(self) -> None:
        (self.root / "report").mkdir()
        (self.root / "report/mine").write_text("")
        with self.assertRaises(subprocess.CalledProcessError):
            self.build()
        self.assertTrue((self.root / "report/mine").exists())


class Formats(Page):
    def test_junit_as_its_readers_read_it(self) -> None:
        self.original()
        path = self.folder / "junit.xml"
        subprocess.run(["xmllint", "--noout", path], check=True)
        program = """
import json, sys
from junitparser import Failure, JUnitXml, Skipped
found = {}
for suite in JUnitXml.fromfile(sys.argv[1]):
    cases = list(suite)
    kinds = [[type(r) for r in case.result] for case in cases]
    counted = [len(cases), sum(Failure in k for k in kinds), sum(Skipped in k for k in kinds)]
    found[suite.name] = [[suite.tests, suite.failures, suite.skipped], counted]
print(json.dumps(found))
"""
        read = subprocess.run([PYTHON, "-c", program, path], stdout=subprocess.PIPE, check=True).stdout
        suites = json.loads(read)
        ktap = statuses((self.folder / "results.ktap").read_text())
        self.assertEqual(suites.keys(), ktap.keys())
        for name, (said, counted) in suites.items():
            self.assertEqual(said, counted, name)
            self.assertEqual(said[0], ktap[name].total(), name)
        self.assertEqual(suites["v6.1.stack.avic=1,x2avic"][0][1], 1)

    def test_ktap_has_what_it_plans(self) -> None:
        self.original()
        lines = (self.folder / "results.ktap").read_text().splitlines()
        self.assertEqual(lines[0], "KTAP version 1")
        left = 0
        for line in lines:
            if plan := re.fullmatch(r" {4}1\.\.(\d+)", line):
                self.assertEqual(left, 0)
                left, number = int(plan[1]), 0
            elif result := re.match(r" {4}(?:not )?ok (\d+) \S+( # |$)", line):
                number += 1
                self.assertEqual(int(result[1]), number)
                left -= 1
            else:
                self.assertRegex(line, r"^( {4})?KTAP version 1$|^1\.\.\d+$|^(not )?ok \d+ \S+$")
        self.assertEqual(left, 0)


def flaws(browser: Browser, page: Path, width: int, scheme: str) -> list[str]:
    """What a reader would stumble over."""
    browser.open(page, width, scheme)
    found = browser.complaints()
    seen = browser.value("document.body.innerText.length")
    if seen < 5000 or browser.value("document.querySelectorAll('table tbody tr').length") < 20:
        found.append(f"an empty page: {seen} characters")
    # What is folded has to fit as well.
    browser.value("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    wide = browser.value("document.documentElement.scrollWidth")
    if wide > width:
        found.append(f"{wide} pixels wide, on a screen of {width}")
    back = browser.value("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", back)[:3])) < 3 * 128
    if dark != (scheme == "dark"):
        found.append(f"a background of {back} though the scheme is {scheme}")
    # WCAG's 4.5 to 1, of all text on the page's or the panel's colour.
    found += browser.value(CONTRAST)
    return found


CONTRAST = """(() => {
	const parts = c => c.match(/[\\d.]+/g).map(Number);
	const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const light = c => parts(c).slice(0, 3).map(linear)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const back = e => { for (; e; e = e.parentElement) {
		const c = getComputedStyle(e).backgroundColor;
		if (parts(c)[3] !== 0) return c; } return "rgb(255, 255, 255)"; };
	const found = new Set();
	for (const e of document.body.querySelectorAll("*")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5)
			found.add(`text of ${e.tagName}.${e.className} is hard to read: ${getComputedStyle(e).color} on ${back(e)}`);
	}
	return [...found];
})()"""


class Looks(Page):
    def test_in_a_browser(self) -> None:
        """Wide and narrow, light and dark; the pictures are left in build/screenshots."""
        self.original()
        pictures = TOP / "build/screenshots"
        pictures.mkdir(parents=True, exist_ok=True)
        with Browser() as browser:
            for width in (1280, 390):
                for scheme in ("light", "dark"):
                    with self.subTest(width=width, scheme=scheme):
                        self.assertEqual(flaws(browser, self.folder / "index.html", width, scheme), [])
                    browser.open(self.folder / "index.html", width, scheme)
                    browser.screenshot(pictures / f"{width}-{scheme}.png")
        self.assertEqual(len({path.read_bytes() for path in pictures.glob("*.png")}), 4)

    def test_flaws_are_seen(self) -> None:
        self.build()
        text = (self.folder / "index.html").read_text()
        bad = self.folder / "bad.html"
        broken = {
            "an empty page": "<!DOCTYPE html><html><body></body></html>",
            "pixels wide": text.replace("</header>", "<div style='width: 500px'>x</div></header>"),
            "Uncaught": text.replace("</header>", "<script>throw Error()</script></header>"),
            "a request for": text.replace("</header>", "<img src='missing.png'></header>"),
            "though the scheme": text.replace("prefers-color-scheme: dark", "print"),
            "hard to read": text.replace("--quiet: #9aa2ab", "--quiet: #4a4f55"),
        }
        with Browser() as browser:
            for flaw, page in broken.items():
                bad.write_text(page)
                with self.subTest(flaw):
                    self.assertIn(flaw, "\n".join(flaws(browser, bad, 390, "dark")))

    def test_states_without_colour(self) -> None:
        """Each state has words or a sign of its own."""
        text = self.original().root.all("table")[1].text()
        for sign in ("✓ 2/2", "base 2/2", "argued", "left out", "?"):
            self.assertIn(sign, text)


if __name__ == "__main__":
    unittest.main()
