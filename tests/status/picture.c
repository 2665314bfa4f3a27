// SPDX-License-Identifier: GPL-2.0
/*
 * Prints a known state of a machine as avic-status does: picture text|json watched|once.
 * Without a machine: what is read from one is filled in here; but picture host ROOT reads
 * the files of a machine below ROOT.
 */
#include <string.h>

#include "status.h"

static struct host host = {
	.release = "6.12.118", .cpu = "EPYC \"Genoa\"", .amd = true, .svm = true, .npt = true, .avic = true,
	.family = 0x19, .kvm_amd = true,
	.parameters = { { "avic", "Y" }, { "npt", "Y" }, { "enable_ipiv", "" } },
};

/* Of a process with three VMs, all but the last one with two vCPUs. */
static struct vcpu vcpus[3][2] = {
	{
		{ .record = { .tid = 11, .id = 0, .has_apic = 1, .active = 1, .int_ctl = INT_CTL_AVIC,
			      .apic_base = APIC_BASE_ENABLED, .irtes = 3, .irtes_posted = 2, .window = UNKNOWN } },
		{ .record = { .tid = 12, .id = 1, .has_apic = 1, .active = 1, .int_ctl = INT_CTL_AVIC,
			      .apic_base = APIC_BASE_ENABLED | APIC_BASE_X2APIC, .window = UNKNOWN } },
	},
	{
		{ .record = { .tid = 21, .id = 0, .has_apic = 1, .active = 1, .int_ctl = INT_CTL_AVIC | INT_CTL_X2AVIC,
			      .apic_base = APIC_BASE_ENABLED | APIC_BASE_X2APIC, .window = 1 } },
		{ .record = { .tid = 22, .id = 1, .has_apic = 1, .nested = 1, .active = 1, .apic_base = APIC_BASE_ENABLED } },
	},
	{
		{ .record = { .tid = 31, .id = 0, .has_apic = 1, .active = 1, .int_ctl = INT_CTL_AVIC,
			      .apic_base = APIC_BASE_ENABLED, .window = UNKNOWN } },
	},
};

static struct vm vms[3] = {
	{ .record = { .tgid = 10, .comm = "q\033[2Jemu", .windows = UNKNOWN, .vcpus = 3 },
	  .name = "guest\\1 \"\xc3\xa4\" \xc2\x9b\xff\xe2\x80\xae\xf0\x9f\x98\x80" },
	{ .record = { .tgid = 10, .comm = "qemu", .windows = 0 } },
	{ .record = { .tgid = 10, .comm = "qemu", .windows = 2, .reasons = 1 << 3 | 1 << 5 | 1 << 6 },
	  .reasons = { { .number = 3, .before = true, .seconds = 4, .sets = 0 },
		       { .number = 5, .seconds = 1.5, .sets = 2 },
		       { .number = 6, .seconds = -1, .sets = -1 } },
	  .reasons_count = 3 },
};

/* By thread. */
static struct count counts[] = {
	{ { 11, 0, UNACCELERATED, 0xf0 | WRITTEN }, 30 },
	{ { 11, UNKNOWN, EMULATED, 0xf0 | WRITTEN }, 30 },
	{ { 11, 5, UNACCELERATED, 0xf0 | WRITTEN }, 1000 },
	{ { 12, UNKNOWN, EMULATED, 0xb0 | WRITTEN }, 8 },
	{ { 31, UNKNOWN, EMULATED, 0xb0 | WRITTEN }, 50 },
	{ { 31, UNKNOWN, EMULATED, 0x300 | WRITTEN }, 70 },
	{ { 31, 0, IPI, 0 }, 5 }, /* KVM sends it, and does not write the ICR */
	{ { 31, 0, IPI, 0 | BUSY }, 15 },
	{ { 31, 0, IPI, 2 | BUSY }, 5 },
	{ { 31, UNKNOWN, EMULATED, 0x380 | WRITTEN }, 9 }, /* exits with AVIC, too */
	{ { 31, UNKNOWN, EMULATED, 0x380 }, 4 },	    /* does not */
	{ { 31, UNKNOWN, EMULATED, 0x390 }, 5 },	    /* exits with AVIC, too */
	{ { 31, UNKNOWN, EMULATED, 0x20 }, 3 },
	{ { 31, UNKNOWN, EMULATED, 0x20 | WRITTEN }, 1 },
	{ { 31, 0, IPI, 1 }, 6 },
	{ { 31, 0, UNACCELERATED, 0x100 }, 1 },
	{ { 31, 0, UNACCELERATED, 0x100 | WRITTEN }, 2 },
	{ { 31, 0, UNACCELERATED, NO_REGISTER | WRITTEN }, 7 },
	{ { 99, UNKNOWN, EMULATED, 0xb0 | WRITTEN }, 1000 },
};

int main(int argc, char **argv)
{
	struct kvm_status status = { .vms = vms, .vms_count = 3, .counts = counts,
				     .counts_count = sizeof(counts) / sizeof(*counts), .totals = { 1, 2, 3, 4, 5 } };
	enum verdict verdicts[bugs_count];
	size_t i, j;

	if (argc == 3 && !strcmp(argv[1], "host")) {
		read_host(&host, argv[2]);
		show_host(stdout, &host);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "intel"))
		host.amd = false;
	judge_host(&host);
	if (argc != 3) {
		show_host(stdout, &host);
		return 0;
	}
	for (i = 0; i < bugs_count; i++)
		verdicts[i] = i % 3;
	status.verdicts = verdicts;
	strcpy(status.reason_names[3], "PIT_REINJ");
	strcpy(status.reason_names[5], "NEW_ONE");
	strcpy(status.reason_names[6], "HYPERV");
	strcpy(status.cause_names[0], "INVALID_INT_TYPE");
	strcpy(status.cause_names[1], "TARGET_NOT_RUNNING");
	strcpy(status.cause_names[2], "INVALID_TARGET");
	for (i = 0; i < 3; i++) {
		vms[i].vcpus = vcpus[i];
		vms[i].vcpus_count = i < 2 ? 2 : 1;
		for (j = 0; j < vms[i].vcpus_count; j++) {
			judge_vcpu(&vcpus[i][j], &vms[i]);
			vcpus[i][j].exits_per_s = vcpus[i][j].window_exits_per_s = vcpus[i][j].wakeups_per_s = -1;
			vcpus[i][j].ga_log = -1;
		}
	}
	if (!strcmp(argv[2], "watched")) {
		status.watched = 5;
		memset(status.seen, true, sizeof(status.seen));
		status.seen[WATCH_IRTES] = false;
		vcpus[0][0].exits_per_s = 1234.4;
		vcpus[0][0].ga_log = 7;
	}
	if (!strcmp(argv[1], "json"))
		show_json(stdout, &host, &status);
	else
		show_text(stdout, &host, &status, !strcmp(argv[2], "once"));
	return 0;
}
