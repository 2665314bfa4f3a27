# SPDX-License-Identifier: GPL-2.0
"""scripts/threads: its table, how it takes functions out of a tree, and what it makes of a program's words.

That the stacks hold, and that each fault is found, is tests/pipeline_bases.py's.
"""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from project import TOP
from avic.base import Base
from avic.cmd import threads
from avic.cmd.threads import Run

CAPTURED = TOP / "tests/captured/threads"
RUNS = threads.read_runs((threads.THREADS / "runs").read_text())
FILE = """\
static int add(int a,
\t       int b)
{
\t/* A comment. */
\treturn a + b;
}

union number {
\tint whole;
\tstruct {
\t\tint part;
\t} fields;
};

int sub(int a, int b);

int sub(int a, int b)
{
\treturn a - b;
}
"""


def source(program: str) -> str:
    return (threads.THREADS / f"{program}.c").read_text()


class Table(unittest.TestCase):
    def test_slips(self) -> None:
        for text in ("run irqwin holds\n", "run irqwin ## w\n", "walk irqwin holds ## w\n", "run a holds b c ## w\n"):
            with self.subTest(text), self.assertRaisesRegex(ValueError, "want "):
                threads.read_runs(text)

    def test_programs_and_runs_agree(self) -> None:
        """Each program is run as it is and with faults; what a run has to find, the program can say."""
        self.assertEqual({path.stem for path in threads.THREADS.glob("*.c")}, {run.program for run in RUNS})
        for name in {run.program for run in RUNS}:
            says = {threads.HOLDS, threads.RACE, *re.findall(r'check\(.*?"(\w+)"\)', source(name), re.DOTALL)}
            mine = [run for run in RUNS if run.program == name]
            with self.subTest(name):
                self.assertEqual(mine[0], Run(name, threads.HOLDS))
                self.assertGreater(len(mine), 2)
                self.assertLessEqual({each for run in mine for each in run.verdict.split("|")}, says)
                self.assertEqual([run for run in mine if run.fault and run.verdict == threads.HOLDS], [])

    def test_each_fault_is_there_and_used(self) -> None:
        for run in RUNS:
            if run.fault:
                self.assertTrue(threads.fault_file(run.fault).exists())
        own = {path.stem for path in (threads.THREADS / "faults").iterdir()}
        self.assertLessEqual(own, {run.fault for run in RUNS})


class Taken(unittest.TestCase):
    def test_head_of_a_program(self) -> None:
        head = "/*\n * take a/b.c: one two|old\n * take a/c.h: three\n * take a/b.c: four\n */\n"
        self.assertEqual(threads.taken_from(head), {"a/b.c": ["one", "two|old", "four"], "a/c.h": ["three"]})

    def test_functions_and_structures(self) -> None:
        taken = threads.take({"f.c": FILE}, {"f.c": ["sub", "number", "add"]})
        self.assertEqual(
            taken,
            "int sub(int a, int b)\n{\nreturn a - b;\n}\n\n"
            "union number {\nint whole;\nstruct {\nint part;\n} fields;\n};\n\n"
            "static int add(int a,\nint b)\n{\nreturn a + b;\n}\n",
        )

    def test_older_name(self) -> None:
        self.assertIn("#define plus add\n\nstatic int add(", threads.take({"f.c": FILE}, {"f.c": ["plus|add"]}))

    def test_what_the_tree_has_no_more(self) -> None:
        """Code and program can't drift apart unseen."""
        with self.assertRaisesRegex(ValueError, r"f.c has no function mul\(\): adapt what ci/threads takes"):
            threads.take({"f.c": FILE}, {"f.c": ["mul"]})

    def test_bases(self) -> None:
        for program, base, wanted in (("irqwin", "v6.1", True), ("galog", "v6.1", False), ("galog", "v6.12", True)):
            with self.subTest(program, base=base), mock.patch.object(threads, "BASE", Base.named(base)):
                self.assertEqual(threads.for_base(Run(program, threads.HOLDS)), wanted)


class Verdict(unittest.TestCase):
    def read(self, name: str) -> str:
        return threads.read_verdict((CAPTURED / name).read_text())

    def test_captured(self) -> None:
        self.assertEqual(self.read("holds"), "holds")
        self.assertEqual(self.read("violated"), "uncounted")
        self.assertEqual(self.read("race"), threads.RACE)
        self.assertEqual(self.read("freed"), threads.RACE)

    def test_none(self) -> None:
        self.assertEqual(threads.read_verdict(""), "")
        self.assertEqual(threads.read_verdict("FATAL: ThreadSanitizer: unexpected memory mapping 0x5 - 0x6\n"), "")


class Program(unittest.TestCase):
    """Programs of this test's own, as of a tree's code."""

    def verdict(self, body: str) -> str:
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(threads, "THREADS", Path(folder)):
            (Path(folder) / "kernel.h").write_text((TOP / "ci/threads/kernel.h").read_text())
            (Path(folder) / "own.c").write_text(f'#include "kernel.h"\n#include "taken.h"\n{body}\n')
            program = threads.compile_program("own", "static int shared;\n", Path(folder))
            return threads.try_seed(program, 1)[0]

    def test_race_of_the_code(self) -> None:
        body = """
            static void *count(void *unused) { LOCK; shared++; UNLOCK; return unused; }
            int main(void)
            {
                pthread_t one, two;
                init_rwsem(&sem);
                pthread_create(&one, NULL, count, NULL);
                pthread_create(&two, NULL, count, NULL);
                pthread_join(one, NULL);
                pthread_join(two, NULL);
                puts("holds");
            }"""
        head = "static struct rw_semaphore sem;\n"
        locked = "#define LOCK down_write(&sem)\n#define UNLOCK up_write(&sem)\n"
        self.assertEqual(self.verdict(head + locked + body), "holds")
        self.assertEqual(self.verdict(head + "#define LOCK\n#define UNLOCK\n" + body), threads.RACE)

    def test_guard_ends_with_its_block(self) -> None:
        body = """
            int main(void)
            {
                struct rw_semaphore sem;
                raw_spinlock_t lock;
                init_rwsem(&sem);
                raw_spin_lock_init(&lock);
                { guard(rwsem_write)(&sem); check(pthread_rwlock_tryrdlock(&sem.lock), "not_locked"); }
                { guard(rwsem_read)(&sem); check(pthread_rwlock_trywrlock(&sem.lock), "not_locked"); }
                { guard(raw_spinlock_irqsave)(&lock); check(pthread_mutex_trylock(&lock), "not_locked"); }
                check(!pthread_rwlock_trywrlock(&sem.lock) && !pthread_mutex_trylock(&lock), "locked");
                puts("holds");
            }"""
        self.assertEqual(self.verdict(body), "holds")

    def test_too_long(self) -> None:
        with mock.patch.object(threads, "SECONDS", 0.5):
            self.assertEqual(self.verdict("int main(void) { for (;;) sched_yield(); }"), threads.STUCK)


class Usage(unittest.TestCase):
    def test_wrong_use(self) -> None:
        for arguments, said in ((["nosuch"], "no program 'nosuch' in ci/threads/runs"), (["--seeds", "0"], "SEEDS=0: want")):
            result = subprocess.run([TOP / "scripts/threads", *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, 2)
            self.assertTrue(result.stderr.startswith(f"threads: {said}"), result.stderr)
