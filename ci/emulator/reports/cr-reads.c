// SPDX-License-Identifier: GPL-2.0-or-later
/* Intercepts of reads of control registers */
#include "lib.h"

#define READ(n) \
	static void read_cr##n(u64 arg) \
	{ \
		asm volatile("mov %%cr" #n ", %0" : "=r"(arg)); \
	}
READ(0)
READ(2)
READ(3)
READ(4)
READ(8)

static const struct {
	unsigned n;
	void (*fn)(u64);
} cases[] = { { 0, read_cr0 }, { 2, read_cr2 }, { 3, read_cr3 }, { 4, read_cr4 }, { 8, read_cr8 } };

static u64 run_with(unsigned i, u32 intercepts)
{
	struct vcpu *v = vcpu_init(0, cases[i].fn, 0);

	set32(v, V_INTERCEPT_CR, intercepts);
	return run(v);
}

TEST(reads_are_intercepted)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		note("CR%d, its own intercept is set", cases[i].n);
		CHECK("exit", run_with(i, BIT(cases[i].n)), EXIT_READ_CR(cases[i].n));
	}
}

TEST(cr0s_intercept_is_for_cr0)
{
	for (unsigned i = 1; i < ARRAY_SIZE(cases); i++) {
		note("CR%d, only CR0's intercept is set", cases[i].n);
		CHECK("exit", run_with(i, BIT(0)), EXIT_VMMCALL);
	}
}
