// SPDX-License-Identifier: GPL-2.0
/* What the machine offers for AVIC: its CPU, its IOMMU, its kernel, and kvm_amd's parameters. */
#include <cpuid.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "status.h"

/* The IOMMU's extended features, by bit. */
#define IOMMU_XT (1ull << 2)
#define IOMMU_GA (1ull << 7)
#define IOMMU_GUEST_VAPIC (1ull << 21)

static const char *const names[PARAMETERS_MAX] = { "avic", "npt", "nested", "enable_ipiv", "force_avic",
						   "enable_device_posted_irqs" };

/* A file's first line, "" if there is none; root is "" but in tests. */
static void read_line(const char *root, const char *path, char *line, size_t size)
{
	char full[512];
	FILE *file;

	line[0] = '\0';
	snprintf(full, sizeof(full), "%s%s", root, path);
	file = fopen(full, "r");
	if (!file)
		return;
	if (!fgets(line, size, file))
		line[0] = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
}

static void read_cpu(struct host *host)
{
	unsigned int a, b, c, d, vendor[3] = {};
	int i;

	if (!__get_cpuid(0, &a, &vendor[0], &vendor[2], &vendor[1]))
		return;
	host->amd = !memcmp(vendor, "AuthenticAMD", 12) || !memcmp(vendor, "HygonGenuine", 12);
	__get_cpuid(1, &a, &b, &c, &d);
	host->family = (a >> 8 & 0xf) + (a >> 20 & 0xff);
	for (i = 0; i < 3; i++) {
		unsigned int text[4];

		if (!__get_cpuid(0x80000002 + i, &text[0], &text[1], &text[2], &text[3]))
			break;
		memcpy(host->cpu + 16 * i, text, 16);
	}
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		host->svm = c >> 2 & 1;
	if (host->amd && host->svm && __get_cpuid(0x8000000a, &a, &b, &c, &d)) {
		host->npt = d & 1;
		host->avic = d >> 13 & 1;
		host->x2avic = d >> 18 & 1;
		host->x2avic_4k = c >> 6 & 1;
	}
}

static void read_iommus(struct host *host, const char *root)
{
	char pattern[512], line[64];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s/sys/class/iommu/*/amd-iommu/features", root);
	host->iommu_ga = host->iommu_posts = host->iommu_xt = true;
	if (!glob(pattern, 0, NULL, &found))
		for (i = 0; i < found.gl_pathc; i++) {
			uint64_t features, other;
			char *rest;

			/* Both registers, in older kernels the second one first: it has the few and low bits. */
			read_line("", found.gl_pathv[i], line, sizeof(line));
			features = strtoull(line, &rest, 16);
			other = *rest ? strtoull(rest + 1, NULL, 16) : 0;
			features = other > features ? other : features;
			host->iommus++;
			host->iommu_ga &= !!(features & IOMMU_GA);
			host->iommu_posts &= !!(features & IOMMU_GUEST_VAPIC);
			host->iommu_xt &= !!(features & IOMMU_XT);
		}
	globfree(&found);
	if (!host->iommus)
		host->iommu_ga = host->iommu_posts = host->iommu_xt = false;
}

void read_host(struct host *host, const char *root)
{
	char path[256], line[4096];
	struct utsname uts;
	int i;

	memset(host, 0, sizeof(*host));
	uname(&uts);
	snprintf(host->release, sizeof(host->release), "%s", uts.release);
	read_cpu(host);
	read_iommus(host, root);
	read_line(root, "/proc/cmdline", line, sizeof(line));
	host->iommu_legacy = strstr(line, "amd_iommu_intr=legacy") || strstr(line, "intremap=off") ||
			     strstr(line, "intremap=nopost") || strstr(line, "nointremap");
	snprintf(path, sizeof(path), "%s/sys/module/kvm_amd", root);
	host->kvm_amd = !access(path, F_OK);
	for (i = 0; i < PARAMETERS_MAX && names[i]; i++) {
		struct parameter *each = &host->parameters[i];

		each->name = names[i];
		snprintf(path, sizeof(path), "/sys/module/kvm_amd/parameters/%s", names[i]);
		read_line(root, path, each->value, sizeof(each->value));
	}
	judge_host(host);
}
