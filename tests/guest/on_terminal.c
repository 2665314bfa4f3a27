// SPDX-License-Identifier: GPL-2.0
/*
 * on_terminal ROWS COLUMNS PICTURES COMMAND...: run a command on a terminal of that size,
 * press Ctrl-C after so many pictures, and say how it left the terminal.
 *
 * A picture begins with the cursor's way home.  What is printed for the caller:
 *
 *   status N     the command's exit status, or its signal and 128
 *   rows N       most lines that a picture had
 *   columns N    most characters of a line
 *   modes SAME   same or changed: the terminal's settings
 *   escapes N    sequences other than home and clear: nobody would undo them
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	int pictures = 0, wanted, status, master, slave, rows = 0, columns = 0, row = 0, column = 0, escapes = 0;
	const char *home = "\033[H", *clear = "\033[J";
	struct termios before = {}, after = {};
	struct winsize size = {};
	char c, escape[16] = "";
	size_t length = 0;
	pid_t pid;

	if (argc < 5)
		errx(2, "usage: on_terminal ROWS COLUMNS PICTURES COMMAND...");
	size.ws_row = atoi(argv[1]);
	size.ws_col = atoi(argv[2]);
	wanted = atoi(argv[3]);
	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) || unlockpt(master))
		err(1, "a terminal");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0 || ioctl(slave, TIOCSWINSZ, &size) || tcgetattr(slave, &before))
		err(1, "%s", ptsname(master));
	pid = fork();
	if (!pid) {
		if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0))
			err(1, "its terminal");
		dup2(slave, 0);
		dup2(slave, 1);
		dup2(slave, 2);
		close(slave);
		close(master);
		execv(argv[4], argv + 4);
		err(1, "%s", argv[4]);
	}
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (;;) {
		ssize_t got = read(master, &c, 1);

		if (got < 0 && errno == EAGAIN) {
			pid_t ended = waitpid(pid, &status, WNOHANG);

			/* What it said last is read once more. */
			if (ended == pid && read(master, &c, 1) < 0)
				break;
			if (ended != pid) {
				usleep(10000);
				continue;
			}
		} else if (got <= 0) {
			waitpid(pid, &status, 0);
			break;
		}
		if (c == '\033' || length) {
			escape[length++] = c;
			if (length < sizeof(escape) - 1 && (length < 3 || (c < '@' || c > '~')))
				continue;
			escape[length] = '\0';
			length = 0;
			escapes += strcmp(escape, home) && strcmp(escape, clear);
			if (!strcmp(escape, home)) {
				row = column = 0;
				if (pictures++ == wanted && write(master, "\003", 1) != 1)
					err(1, "Ctrl-C");
			}
			continue;
		}
		row += c == '\n';
		column = c == '\n' || c == '\r' ? 0 : column + ((c & 0xc0) != 0x80);
		rows = row > rows ? row : rows;
		columns = column > columns ? column : columns;
	}
	if (tcgetattr(slave, &after))
		err(1, "the terminal's settings");
	printf("status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	printf("rows %d\ncolumns %d\n", rows, columns);
	printf("modes %s\nescapes %d\n", memcmp(&before, &after, sizeof(before)) ? "changed" : "same", escapes);
	return 0;
}
