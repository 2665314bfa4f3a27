// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nested paging has no page for the guest's stack, so that a #VMEXIT comes
 * while an event is delivered: EXITINTINFO says what event it was.
 */
#include "lib.h"

/* The stack is in the page above that of the APIC */
static struct vcpu *without_stack(void (*fn)(u64))
{
	struct vcpu *v = vcpu_init(0, fn, 0);

	npt_apic[1] = 0;
	set64(v, V_RSP, APIC_BASE + 2 * PAGE - 8);
	set64(v, V_RFLAGS, 0x202);
	return v;
}

TEST(external_interrupt)
{
	struct vcpu *v = without_stack(vmmcall_only);

	set32(v, V_INT_CTL, V_INTR_MASKING | V_IRQ | 0xfU << 16);
	set32(v, V_INT_VECTOR, 0x61);
	CHECK("exit", run(v), EXIT_NPF);
	CHECK("EXITINTINFO", get64(v, V_EXIT_INT_INFO), EVENT_VALID | 0x61);
}

TEST(nmi)
{
	struct vcpu *v = without_stack(vmmcall_only);

	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_NMI);
	asm volatile("clgi");
	apic_write(APIC_ICR, ICR_SELF | ICR_MODE(4));
	CHECK("exit", run(v), EXIT_NPF);
	CHECK("EXITINTINFO", get64(v, V_EXIT_INT_INFO), EVENT_VALID | EVENT_NMI | 2);
}
