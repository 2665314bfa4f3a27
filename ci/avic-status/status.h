/* SPDX-License-Identifier: GPL-2.0 */
/* What avic-status knows: host.c and kvm.c find it out, show.c and json.c print it. */
#ifndef STATUS_H
#define STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/types.h>

#include "records.h"

#define REASONS_MAX 64
#define CAUSES_MAX 16
#define PARAMETERS_MAX 8
#define ADVICE_MAX 64

#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLED (1ull << 11)
#define INT_CTL_X2AVIC (1u << 30)
#define INT_CTL_AVIC (1u << 31)

/* ---- tables.c, which scripts/status makes of the data files here ---- */

struct advice {
	const char *key;
	const char *text;
	const char *source;
};

/* A sign of a bug in BTF, or of its fix.  See ci/avic-status/bugs. */
struct sign {
	const char *slug;
	const char *kind; /* has, lacks or fixed */
	const char *what; /* member, enum, type, function or parameter */
	const char *name;
};

struct bug {
	const char *slug;
	const char *symptom;
};

extern const struct advice advices[];
extern const struct sign signs[];
extern const struct bug bugs[];
extern const size_t advices_count, signs_count, bugs_count;
extern const char known_kernels[]; /* the oldest and the newest base */

/* ---- host.c: what the CPU, the IOMMU, the kernel and kvm_amd offer ---- */

struct parameter {
	const char *name;
	char value[32]; /* "" if this kernel has no such parameter */
};

struct host {
	char release[65];
	char cpu[49];
	bool amd, svm, npt, avic, x2avic, x2avic_4k;
	unsigned int family;
	bool erratum_1235;
	int iommus;
	bool iommu_ga, iommu_posts, iommu_xt; /* all of them can */
	bool iommu_legacy;		      /* the command line forbids that they post interrupts */
	bool kvm_amd;
	struct parameter parameters[PARAMETERS_MAX];
	const char *missing[ADVICE_MAX]; /* keys of advices */
	size_t missing_count;
};

/* root: "", but in tests. */
void read_host(struct host *host, const char *root);

/* ---- kvm.c: what KVM does ---- */

enum verdict { CANNOT_TELL, LIKELY, NOT };

struct reason {
	int number;
	bool before;	/* since before the watch began */
	double seconds; /* for how long; < 0 if that can't be known */
	long sets;	/* how often it was set meanwhile; < 0 if that can't be known */
};

struct vm;

struct vcpu {
	struct record record;
	bool on;
	const char *mode; /* xAVIC, x2AVIC, hybrid, - */
	const char *why;  /* "" or why it is off though the VM has no inhibit */
	const char *apic; /* xAPIC, x2APIC, off, - */
	double exits_per_s, window_exits_per_s, wakeups_per_s; /* < 0: not known */
	int64_t ga_log; /* < 0: not known */
};

struct vm {
	uint64_t kvm;
	struct record record;
	char name[64]; /* QEMU's, or "" */
	struct reason reasons[REASONS_MAX];
	size_t reasons_count;
	struct vcpu *vcpus;
	size_t vcpus_count;
};

struct count {
	struct spent key;
	uint64_t times;
};

/* What is watched; a kernel may lack one. */
enum watch {
	WATCH_INHIBITS,
	WATCH_UNACCELERATED,
	WATCH_EMULATED,
	WATCH_IPIS,
	WATCH_GA_LOG,
	WATCH_DOORBELLS,
	WATCH_IRTES,
	WATCH_OVERFLOWS,
	WATCHES,
};

struct kvm_status {
	double watched; /* seconds for which events were counted; 0: not at all */
	bool seen[WATCHES];
	char reason_names[REASONS_MAX][32];
	char cause_names[CAUSES_MAX][32];
	struct vm *vms;
	size_t vms_count;
	struct count *counts; /* ordered by thread */
	size_t counts_count;
	uint64_t totals[TOTALS];
	const enum verdict *verdicts; /* as bugs[]; the reader's */
};

struct kvm_reader;

/* NULL if it can't be read; a message was printed. */
struct kvm_reader *open_kvm(bool watch, bool verbose);
/* Whether that worked. */
bool read_kvm(struct kvm_reader *reader, struct kvm_status *status, int pid);
void close_kvm(struct kvm_reader *reader);
void free_status(struct kvm_status *status);

/* ---- judge.c: what follows from that ---- */

/* "" if there is none of this name. */
const char *parameter(const struct host *host, const char *name);
/* Fill in what is missing, the most important first. */
void judge_host(struct host *host);
/* Whether interrupts of devices can be posted to guests. */
bool host_posts(const struct host *host);
/* Fill in whether AVIC is on for a vCPU, how, and why not. */
void judge_vcpu(struct vcpu *vcpu, const struct vm *vm);

/* ---- show.c: both ways to print it ---- */

/* Bit N: the local APIC has a register at offset 16 * N. */
uint64_t known_registers(void);
void show_host(FILE *out, const struct host *host);
/* all: what does not change, too. */
void show_text(FILE *out, const struct host *host, const struct kvm_status *status, bool all);
void show_json(FILE *out, const struct host *host, const struct kvm_status *status);

#endif
