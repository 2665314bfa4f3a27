// SPDX-License-Identifier: GPL-2.0
/*
 * terminal COMMAND...: a command that has its stdin as its terminal, in which Ctrl-C
 * works.  run-plan starts tests in the background, i.e. with SIGINT ignored, and a shell
 * can't set that back.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int status = 0;
	pid_t pid;

	/*
	 * Who leads a process group can't begin a session.  The terminal may be that of who
	 * has opened it before, hence the 1.
	 */
	pid = argc < 2 ? -1 : fork();
	if (pid > 0)
		return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	if (pid < 0 || setsid() < 0 || ioctl(0, TIOCSCTTY, 1) < 0) {
		perror("terminal");
		return 1;
	}
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
