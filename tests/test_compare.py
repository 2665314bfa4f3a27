# SPDX-License-Identifier: GPL-2.0
"""scripts/compare: what is the same, and what needs a reason."""

import shutil
import unittest

from project import TOP
from toy import Toy, edit, git

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


class Trees(Toy):
    """A tree of the user's own for either side."""

    def setUp(self) -> None:
        super().setUp()
        self.make_stack()
        shutil.copytree(self.patches, self.project / "patches/toy2")
        self.other = self.root / "other"
        self.make_tree(self.other)
        edit(self.other / "arch/x86/kvm/x86.c", "line 60 of", "another line 60 of")
        git(self.other, "commit", "--quiet", "--all", "--message=of my own")
        self.env["OTHER_TREE"] = str(self.other)

    def test_both(self) -> None:
        said = self.script("compare toy2").stdout
        self.assertIn("patches of toy against those of toy2\n", said)
        self.assertEqual(said.count(" same\n"), 3)
        for name, tree in (("toy", self.tree), ("toy2", self.other)):
            head = git(tree, "rev-parse", "HEAD")
            repo = self.cache / f"base/{name}/tree-{head[:12]}"
            self.assertEqual(git(repo, "rev-parse", "base"), head)
            self.assertEqual(git(repo, "rev-list", "--count", "base..stack"), "3")
        self.assertIn("1:  ", self.script("compare toy2 toy-one").stdout)

    def test_options(self) -> None:
        del self.env["OTHER_TREE"]
        self.script(f"compare toy2 --other-tree {self.other}")

    def test_reason_of_another_tree(self) -> None:
        """The tree may make a difference that patches/toy/compare has no reason for: it is named."""
        two = self.project / "patches/toy2/0002-toy-two.patch"
        two.write_text(two.read_text().replace("+changed line 10", "+fixed line 10"))
        self.assertIn("no reason for toy-two", self.script("compare toy2", 1).stderr)

    def test_wrong_trees(self) -> None:
        """One line, by the name that the user gave it."""
        empty = self.root / "empty"
        empty.mkdir()
        for name in ("TREE", "OTHER_TREE"):
            for path, why in (("/nonexistent", "is not a kernel tree"), (str(empty), "is not a kernel tree")):
                error = self.script("compare toy2", 2, **{name: path}).stderr
                self.assertIn(f"fetch: {name}={path} {why}", error)
                self.assertEqual(len(error.splitlines()), 1, error)
        edit(self.other / "arch/x86/kvm/svm/avic.c", "line 9 of", "my line 9 of")
        error = self.script("compare toy2", 2).stderr
        self.assertIn(f"fetch: OTHER_TREE={self.other} has uncommitted changes", error)
        git(self.other, "commit", "--quiet", "--all", "--message=moved")
        error = self.script("compare toy2", 1).stderr
        self.assertIn("patches/toy2/0002-toy-two.patch does not apply: arch/x86/kvm/svm/avic.c, hunk 1", error)
