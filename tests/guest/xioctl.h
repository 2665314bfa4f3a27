/* SPDX-License-Identifier: GPL-2.0 */
/*
 * xioctl(fd, REQUEST, arg): an ioctl that has to work; otherwise the program
 * ends with 1 and names the request.
 */
#ifndef XIOCTL_H
#define XIOCTL_H

#include <err.h>
#include <sys/ioctl.h>

static inline int try_ioctl(int fd, unsigned long request, void *arg, const char *what)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		err(1, "%s", what);
	return r;
}

#define xioctl(fd, request, arg) try_ioctl(fd, request, (void *)(long)(arg), #request)

#endif
