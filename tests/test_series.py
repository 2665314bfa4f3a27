# SPDX-License-Identifier: GPL-2.0
"""The series file: what is a line of it is kept byte for byte, what is none is refused with its line."""

from toy import Toy


class Series(Toy):
    def setUp(self) -> None:
        super().setUp()
        self.repo = self.make_stack()
        self.series = self.patches / "series"
        self.plain = self.series.read_bytes()

    def test_what_others_write_is_refused(self) -> None:
        one = b"0001-toy-one.patch"
        for line, *words in (
            (b"  " + one, "indented"),
            (b"\t" + one, "indented"),
            (one + b" # it is first", "a comment stands behind the entry"),
            (one + b" -p1", "-p1"),
            (one + b" -R", "no option"),
            (b"+needs_review " + one, "guards"),
            (b"-" + one, "guards"),
            (one + b"\r", "CR"),
            (one + b" ", "blanks stand behind"),
            (b"\xef\xbb\xbf" + one, "byte order mark"),
            (b"toy-one.patch", "want NNNN-slug.patch"),
            (b"../" + one, "want NNNN-slug.patch"),
            (b"0001-Toy-One.patch", "want NNNN-slug.patch"),
            (b"0001-toy-\xe9.patch", "want NNNN-slug.patch"),
            (b"0001-toy-one.patch\x0c", "blanks stand behind"),
            (b"   # indented comment", "indented"),
            ("００01-toy-one.patch".encode(), "want NNNN-slug.patch"),
            (b"0009-toy-two.patch", "toy-two", "take one out"),
        ):
            with self.subTest(line):
                self.series.write_bytes(self.plain.replace(one, line))
                before = self.bytes()
                number = 3 if b"0009" in line else 2
                self.refused("refresh", 1, f"patches/toy/series:{number}: ", *words)
                self.assertEqual(self.bytes(), before)

    def test_a_number_twice(self) -> None:
        """In which order git am gets them, the caller's language would say."""
        (self.patches / "0002-toy-two.patch").rename(self.patches / "0001-toy-two.patch")
        self.series.write_bytes(self.plain.replace(b"0002-toy-two", b"0001-toy-two"))
        for verb in ("apply", "fit toy", "export quilt"):
            self.refused(verb, 1, "patches/toy/series is not in the order of its numbers, each once")
        self.script("refresh")
        self.assertEqual(self.series.read_bytes(), self.plain)

    def test_crlf_throughout(self) -> None:
        self.series.write_bytes(self.plain.replace(b"\n", b"\r\n"))
        for verb in ("refresh", "apply", "fit toy", "export quilt"):
            self.refused(verb, 1, "patches/toy/series:1: ", "CR")

    def test_what_is_kept(self) -> None:
        text = (
            b"# Latin-1: \xe9, a form feed \x0c, next line \xc2\x85\n\n  \t\n# 0002-toy-two.patch comes next -p1\n0001-toy-one.patch\n"
            b"#no blank\n0002-toy-two.patch\n# \xe2\x80\xa8 no line ends there\n0003-toy-three.patch\n# at the end\n\n"
        )
        self.series.write_bytes(text)
        self.script("apply")
        self.script("refresh")
        self.assertEqual(self.series.read_bytes(), text)
        self.series.write_bytes(text.rstrip(b"\n"))
        self.script("refresh")
        self.assertEqual(self.series.read_bytes(), text.rstrip(b"\n") + b"\n")

    def test_file_in_no_line_is_not_dropped(self) -> None:
        (self.patches / "0004-mine.patch").write_text("not yet\n")
        self.refused("refresh", 1, "0004-mine.patch is not in patches/toy/series")
        self.assertTrue((self.patches / "0004-mine.patch").exists())

    def test_patches_that_cannot_be_read_are_written_anew(self) -> None:
        before = self.bytes()
        (self.patches / "0001-toy-one.patch").write_text("nothing\n")
        (self.patches / "0002-toy-two.patch").unlink()
        (self.patches / "0003-toy-three.patch").write_bytes(b"\xff\xfe\x00")
        self.refused("apply", 1, "scripts/refresh")
        self.assertIn("changed  0001-toy-one.patch", self.script("refresh").stdout)
        self.assertEqual(self.bytes(), before)

    def bytes(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.patches.iterdir()}
