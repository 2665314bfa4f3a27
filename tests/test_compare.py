# SPDX-License-Identifier: GPL-2.0
"""scripts/compare: what is the same, and what needs a reason."""

import unittest

from project import TOP
from avic.cmd import compare
from avic.patch import read_patch

C = """\
#include <a.h>
/* Says
   a lot. */
static int __init one(struct kvm *kvm,
		      int two)
{
	return two;	/* as is */
}

struct three {
	int four;
};

static struct kvm_x86_ops svm_x86_ops __initdata = {
	.name = KBUILD_MODNAME,
};

int five;
void six(void)
{
	if (five) {
		one(NULL,   5);
	}
}
"""


class Units(unittest.TestCase):
    def test_functions_and_structures(self) -> None:
        found = compare.units(C)
        self.assertEqual(sorted(found), ["one", "six", "svm_x86_ops", "three"])
        self.assertEqual(found["six"][0], "void six(void)")
        self.assertEqual(found["three"], ["struct three {", "int four;", "};"])

    def test_comments_and_blanks_aside(self) -> None:
        other = C.replace("	/* as is */", "").replace("one(NULL,   5)", "one(NULL, 5)")
        self.assertEqual(compare.units(C), compare.units(other))

    def test_code_is_not_aside(self) -> None:
        self.assertNotEqual(compare.units(C), compare.units(C.replace("return two", "return 2")))

    def test_real_code(self) -> None:
        """Each function that the stacks of two bases change is found in its file."""
        patch = read_patch(next((TOP / "patches/v6.12").glob("*-irqwin-withdrawn.patch")))
        self.assertIn("+svm_put_irq_window(svm);", compare.essence(patch))


class ReasonsFile(unittest.TestCase):
    def setUp(self) -> None:
        self.path = TOP / "patches" / "toy" / "compare"

    def reasons(self, text: str) -> object:
        reasons = compare.Reasons(self.path, "v2")
        for line in text.splitlines():
            words, _, why = line.partition(" ## ")
            reasons.known[words] = why
        return reasons

    def test_all_used(self) -> None:
        reasons = self.reasons("a.c:f ## because")
        self.assertEqual(reasons.get("a.c:f"), "because")
        self.assertEqual(reasons.verdict(), 0)

    def test_missing(self) -> None:
        reasons = self.reasons("")
        self.assertEqual(reasons.get("a.c:f"), "NO REASON")
        self.assertEqual(reasons.verdict(), 1)

    def test_stale(self) -> None:
        self.assertEqual(self.reasons("a.c:f ## because").verdict(), 1)
