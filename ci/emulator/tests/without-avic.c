// SPDX-License-Identifier: GPL-2.0-or-later
/* A processor that was not asked for AVIC: nothing of it may show */
#include "lib.h"

static u64 got;

TEST(cpuid)
{
	u32 r[4];

	cpuid(0x8000000a, r);
	CHECK("AVIC", r[3] >> 13 & 1, 0);
	CHECK("x2AVIC", r[3] >> 18 & 1, 0);
}

static void guest_write(u64 addr)
{
	write32(addr, 0x600d);
}

TEST(enable_bits_are_ignored)
{
	struct vcpu *v = vcpu_init(0, guest_write, APIC_BASE + APIC_LVTT);

	set32(v, V_INT_CTL, V_INTR_MASKING | AVIC_ENABLE | X2AVIC_ENABLE);
	set64(v, V_BACKING_PAGE, BIT(51));
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("leaf page", *(u32 *)(npt_scratch + APIC_LVTT), 0x600d);
}

static void guest_cr8(u64 arg)
{
	asm volatile("mov %0, %%cr8" :: "r"(arg));
	asm volatile("mov %%cr8, %0" : "=r"(got));
}

TEST(cr8_is_v_tpr_only)
{
	struct vcpu *v = vcpu_init(0, guest_cr8, 7);

	set32(v, V_INT_CTL, V_INTR_MASKING | AVIC_ENABLE);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("CR8", got, 7);
	CHECK("TPR in the page", apic_get(v, APIC_TPR), 0);
}

static void guest_read_doorbell(u64 arg)
{
	got = read_msr(MSR_DOORBELL);
	(void)arg;
}

TEST(no_doorbell)
{
	struct vcpu *v = vcpu_init(0, guest_read_doorbell, 0);

	set32(v, V_INT_CTL, V_INTR_MASKING);
	CHECK("exit, as for any MSR that TCG does not know", run(v),
	      EXIT_VMMCALL);
	CHECK("value", got, 0);
}
