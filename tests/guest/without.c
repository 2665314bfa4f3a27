// SPDX-License-Identifier: GPL-2.0
/*
 * without FOLDER NAME...: take names out of a copy of the kernel's types (BTF), as of a
 * kernel that has no such member: each gets another last letter.  Fails if one is not there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int take_out(const char *folder, const char *file, const char *name)
{
	size_t length = strlen(name) + 2;
	char path[512], *all, *at, whole[128] = "";
	struct stat stat;
	int found = 0, fd;

	/* Not the end of another name. */
	memcpy(whole + 1, name, length - 2);
	if (snprintf(path, sizeof(path), "%s/%s", folder, file) < 0)
		err(1, "%s", file);
	fd = open(path, O_RDWR);
	if (fd < 0 || fstat(fd, &stat))
		err(1, "%s", path);
	all = mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (all == MAP_FAILED)
		err(1, "%s", path);
	for (at = all; (at = memmem(at, all + stat.st_size - at, whole, length)); at++) {
		at[length - 2] = '~';
		found++;
	}
	munmap(all, stat.st_size);
	close(fd);
	return found;
}

int main(int argc, char **argv)
{
	int i, found;

	if (argc < 3)
		errx(2, "usage: without FOLDER NAME...");
	for (i = 2; i < argc; i++) {
		DIR *folder = opendir(argv[1]);
		struct dirent *entry;

		if (!folder)
			err(1, "%s", argv[1]);
		for (found = 0; (entry = readdir(folder));)
			if (entry->d_name[0] != '.')
				found += take_out(argv[1], entry->d_name, argv[i]);
		closedir(folder);
		if (!found)
			errx(1, "no %s in %s", argv[i], argv[1]);
	}
	return 0;
}
