// SPDX-License-Identifier: GPL-2.0-or-later
/* INT3 raises #BP: it has the intercept of exception 3, not that of INTn */
#include "lib.h"

#define INTERCEPT_INTN BIT(21)

static void int3(u64 arg)
{
	(void)arg;
	asm volatile("int3");
}

static void int_n(u64 arg)
{
	(void)arg;
	asm volatile("int $0x81");
}

static u64 run_with(void (*fn)(u64), u32 exceptions, u32 others)
{
	struct vcpu *v = vcpu_init(0, fn, 0);

	set32(v, V_INTERCEPT_EXC, exceptions);
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) | others);
	return run(v);
}

TEST(int3_has_the_intercept_of_its_exception)
{
	CHECK("exit of INT3", run_with(int3, BIT(3), 0), EXIT_EXCP(3));
}

TEST(int3_has_not_the_intercept_of_intn)
{
	CHECK("exit of INT3", run_with(int3, 0, INTERCEPT_INTN), EXIT_VMMCALL);
	CHECK("exit of INT 0x81", run_with(int_n, 0, INTERCEPT_INTN), EXIT_SWINT);
}

/* Delivered with a stack that is not there in nested paging */
TEST(exitintinfo_of_int3)
{
	struct vcpu *v = vcpu_init(0, int3, 0);

	set32(v, V_INTERCEPT_EXC, 0);
	npt_apic[1] = 0;
	set64(v, V_RSP, APIC_BASE + 2 * PAGE - 8);
	CHECK("exit", run(v), EXIT_NPF);
	CHECK("EXITINTINFO", get64(v, V_EXIT_INT_INFO), EVENT_VALID | EVENT_EXCEPTION | 3);
}
