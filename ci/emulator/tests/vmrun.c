// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMRUN's checks of the AVIC fields (APM 15.29.4), the feature bits and the
 * doorbell MSR (APM 15.29.8.2) from the host's side
 */
#include "lib.h"

static struct vcpu *guest(void)
{
	return vcpu_init(0, vmmcall_only, 0);
}

static struct vcpu *x2_guest(void)
{
	struct vcpu *v = guest();

	set_x2avic(v);
	return v;
}

TEST(cpuid)
{
	u32 r[4];

	cpuid(0x8000000a, r);
	CHECK("AVIC", r[3] >> 13 & 1, 1);
	CHECK("x2AVIC", r[3] >> 18 & 1, 1);
	CHECK("x2AVIC_EXT", r[2] >> 6 & 1, 0);
	CHECK("extended LVT access", r[3] >> 27 & 1, 0);
}

TEST(valid)
{
	CHECK("AVIC", run(guest()), EXIT_VMMCALL);
	CHECK("x2AVIC", run(x2_guest()), EXIT_VMMCALL);
}

TEST(x2avic_without_avic)
{
	struct vcpu *v = guest();

	set32(v, V_INT_CTL, V_INTR_MASKING | X2AVIC_ENABLE);
	CHECK("exit", run(v), EXIT_INVALID);
}

TEST(without_nested_paging)
{
	struct vcpu *v = guest();

	set64(v, V_NESTED_CTL, 0);
	CHECK("exit", run(v), EXIT_INVALID);
}

TEST(max_index)
{
	struct vcpu *v = guest();

	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 255);
	CHECK("xAVIC, 255", run(v), EXIT_VMMCALL);
	v = guest();
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 256);
	CHECK("xAVIC, 256", run(v), EXIT_INVALID);
	v = x2_guest();
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 511);
	CHECK("x2AVIC, 511", run(v), EXIT_VMMCALL);
	v = x2_guest();
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 512);
	CHECK("x2AVIC, 512", run(v), EXIT_INVALID);
}

TEST(pointers_out_of_range)
{
	static const unsigned fields[] = {
		V_BACKING_PAGE, V_LOGICAL_TABLE, V_PHYSICAL_TABLE,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		struct vcpu *v = guest();

		set64(v, fields[i], BIT(51));
		CHECK("xAVIC", run(v), EXIT_INVALID);
		v = x2_guest();
		set64(v, fields[i], BIT(51));
		CHECK("x2AVIC", run(v), fields[i] == V_LOGICAL_TABLE ?
		      EXIT_VMMCALL : EXIT_INVALID);
	}
}

TEST(fields_are_ignored_without_avic)
{
	struct vcpu *v = guest();

	set32(v, V_INT_CTL, V_INTR_MASKING);
	set64(v, V_BACKING_PAGE, BIT(51));
	set64(v, V_PHYSICAL_TABLE, BIT(51) | 4095);
	set64(v, V_NESTED_CTL, 1);
	CHECK("exit", run(v), EXIT_VMMCALL);
}

/* A failed VMRUN leaves nothing behind */
TEST(state_after_a_failure)
{
	struct vcpu *v = guest();

	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 300);
	CHECK("exit", run(v), EXIT_INVALID);
	CHECK("AVIC bit", get32(v, V_INT_CTL) & AVIC_ENABLE, AVIC_ENABLE);
	CHECK("the host's APIC", apic_read(APIC_VERSION) & 0xff, 0x14);
	set64(v, V_PHYSICAL_TABLE, (u64)physical_table | 7);
	CHECK("exit", run(v), EXIT_VMMCALL);
}

/* AVIC or not, a guest's VMRUN is the hypervisor's */
static void guest_vmrun(u64 vmcb)
{
	asm volatile("vmrun" :: "a"(vmcb) : "memory");
}

TEST(guests_vmrun_exits)
{
	struct vcpu *other = vcpu_init(1, vmmcall_only, 0);
	struct vcpu *v = vcpu_init(0, guest_vmrun, (u64)other->vmcb);

	set64(v, V_EFER, get64(v, V_EFER) | BIT(12));
	run(v);
	CHECK_EXIT(v, EXIT_VMRUN, 0, 0);
}

static volatile u32 seen_id;

static void guest_reads_its_id(u64 arg)
{
	(void)arg;
	seen_id = apic_read(APIC_ID);
}

TEST(alternating_with_a_guest_without_avic)
{
	*(u32 *)(npt_scratch + APIC_ID) = 0x77;
	for (int i = 0; i < 4; i++) {
		struct vcpu *v = vcpu_init(0, guest_reads_its_id, 0);
		bool avic = !(i & 1);

		set32(v, V_CLEAN, -1);
		if (!avic)
			set32(v, V_INT_CTL, V_INTR_MASKING);
		apic_set(v, APIC_ID, 0x55);
		vector_set(v, APIC_IRR, 0x61);
		set64(v, V_RFLAGS, 0x202);
		CHECK("exit", run(v), EXIT_VMMCALL);
		CHECK("interrupts", v->nr_irqs, avic);
		CHECK("APIC ID", seen_id, avic ? 0x55 : 0x77);
	}
}

/* The doorbell; a fault shows best in a guest whose MSRs are not intercepted */

static u64 value;

static void guest_ring(u64 arg)
{
	write_msr(MSR_DOORBELL, arg);
}

static void guest_read_doorbell(u64 arg)
{
	value = read_msr(MSR_DOORBELL);
	(void)arg;
}

TEST(doorbell_cannot_be_read)
{
	CHECK("exit", run(vcpu_init(0, guest_read_doorbell, 0)), EXIT_EXCP(13));
}

TEST(doorbell_reserved_bits)
{
	for (unsigned bit = 12; bit < 64; bit++) {
		struct vcpu *v = vcpu_init(0, guest_ring, BIT(bit));

		CHECK("exit", run(v), EXIT_EXCP(13));
	}
}

TEST(doorbell_of_nobody)
{
	CHECK("exit", run(vcpu_init(0, guest_ring, 0xfff)), EXIT_VMMCALL);
}

TEST(doorbell_in_host_mode_is_lost)
{
	write_msr(MSR_DOORBELL, 0);
	write_msr(MSR_DOORBELL, 1);
	delay();
	CHECK("exit", run(guest()), EXIT_VMMCALL);
}
