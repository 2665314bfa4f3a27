// SPDX-License-Identifier: GPL-2.0-or-later
/* AVIC without x2AVIC: bit 30 is reserved and ignored */
#include "lib.h"

static u64 got;

static void guest_read(u64 reg)
{
	got = apic_read(reg);
}

TEST(cpuid)
{
	u32 r[4];

	cpuid(0x8000000a, r);
	CHECK("AVIC", r[3] >> 13 & 1, 1);
	CHECK("x2AVIC", r[3] >> 18 & 1, 0);
}

TEST(x2avic_bit_is_ignored)
{
	struct vcpu *v = vcpu_init(0, guest_read, APIC_VERSION);

	set32(v, V_INT_CTL, get32(v, V_INT_CTL) | X2AVIC_ENABLE);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("still the page", got, 0x50014);

	v = vcpu_init(0, guest_read, APIC_VERSION);
	set32(v, V_INT_CTL, V_INTR_MASKING | X2AVIC_ENABLE);
	CHECK("exit", run(v), EXIT_VMMCALL);
	CHECK("the leaf page", got, 0);
}
