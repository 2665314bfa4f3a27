// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Strict mode: what the emulator has to log, as each "# log:" says, and that it
 * logs nothing else
 */
#include "iommu.h"

static struct vcpu *again(struct vcpu *v, u32 clean)
{
	set64(v, V_RIP, (u64)vmmcall_only);
	set32(v, V_CLEAN, clean);
	CHECK("exit", run(v), EXIT_VMMCALL);
	return v;
}

/* A field changes that bit n of the clean field stands for */
static void check_field(unsigned off, unsigned bit)
{
	struct vcpu *v = vcpu_init(0, vmmcall_only, 0);
	u32 was = get32(v, off);

	set32(v, V_ASID, 10 + bit);
	again(v, 0);
	again(v, -1);
	set32(v, off, was ^ 1);
	again(v, ~BIT(bit));
	set32(v, off, was);
	note("log: clean bit %d is set", bit);
	again(v, -1);
}

TEST(clean_bits)
{
	check_field(V_INTERCEPT_EXC, 0);
	check_field(V_MSRPM + 4, 1);
	check_field(V_INT_VECTOR, 3);
	check_field(V_PAT, 4);
	check_field(V_CR3, 5);
	check_field(V_DR6, 6);
	check_field(V_GDTR + 4, 7);
	check_field(V_IDTR + 4, 7);
	check_field(V_DS, 8);
	check_field(V_CR2, 9);
	check_field(V_LBR, 10);
	check_field(V_LOGICAL_TABLE, 11);
}

/* Another VMCB in between changes nothing */
TEST(other_vmcb)
{
	struct vcpu *v = vcpu_init(0, vmmcall_only, 0);

	set32(v, V_ASID, 30);
	again(v, 0);
	v = vcpu_init(1, vmmcall_only, 0);
	set32(v, V_ASID, 31);
	again(v, 0);
	again(v, -1);
	again(&vcpus[0], -1);
}

/* Guests that use the page, and what there is of it in the TLB */
static void guest_reads(u64 arg)
{
	(void)arg;
	apic_read(APIC_ID);
}

static void with(struct vcpu *v, u32 asid, u32 int_ctl, u8 flush)
{
	v->vmcb[V_ASID + 4] = flush;
	set32(v, V_ASID, asid);
	set32(v, V_INT_CTL, int_ctl);
	set64(v, V_RIP, (u64)guest_reads);
	set64(v, V_RSP, get64(v, V_RSP) - 8 * 16);
	*(u64 *)get64(v, V_RSP) = (u64)vmmcall_only;
	set32(v, V_CLEAN, 0);
	CHECK("exit", run(v), EXIT_VMMCALL);
}

TEST(asid)
{
	struct vcpu *v = vcpu_init(0, vmmcall_only, 0);
	const u32 xavic = get32(v, V_INT_CTL), off = xavic & ~AVIC_ENABLE,
		  x2avic = xavic | X2AVIC_ENABLE;

	with(v, 40, xavic, 0);
	note("log: a virtual APIC page, has none now");
	with(v, 40, off, 0);
	with(v, 40, off, 0);
	with(v, 40, xavic, 1);
	with(v, 40, x2avic, 3);
	with(v, 40, off, 0);	/* there is none in either */
	with(v, 41, xavic, 0);
	note("log: no virtual APIC page, has one now");
	with(v, 40, xavic, 0);
}

TEST(asid_that_has_no_translation_of_the_page)
{
	struct vcpu *v = vcpu_init(0, vmmcall_only, 0);
	u32 xavic = get32(v, V_INT_CTL);

	set32(v, V_ASID, 50);
	again(v, 0);
	set32(v, V_INT_CTL, xavic & ~AVIC_ENABLE);
	again(v, 0);
	set32(v, V_INT_CTL, xavic);
	again(v, 0);
}

static void wait_for_log(void)
{
	for (unsigned i = 0; i < 40; i++)
		delay();
}

TEST(interrupt_entries)
{
	iommu_setup();
	write_irte(INDEX, IRTE_REMAP_EN, 0x55);
	msi(INDEX);
	write_irte(INDEX, IRTE_REMAP_EN, 0x56);
	msi(INDEX);
	invalidate_irt(edu_id);
	wait_for_log();
	msi(INDEX);
	write_irte(INDEX, IRTE_REMAP_EN, 0x55);
	note("log: interrupt entry 5 was changed");
	msi(INDEX);
	wait_for_log();
	invalidate_irt(edu_id);

	/* what is not cached may change */
	enable_guest_mode();
	vcpu_init(1, vmmcall_only, 0);
	post_to(&vcpus[1], 0);
	invalidate_irt(edu_id);
	msi(INDEX);
	post_to(&vcpus[1], IRTE_IS_RUN | IRTE_DEST(2) | IRTE_TAG(7) | IRTE_GALOG_INTR);
	msi(INDEX);
	wait_for_log();
}

TEST(device_entries)
{
	iommu_setup();
	write_irte(INDEX, IRTE_REMAP_EN, 0x55);
	msi(INDEX);
	devtab[edu_id][1] = 5;
	msi(INDEX);
	command(CMD_INVALIDATE_DEVTAB, edu_id, 0);
	wait_for_log();
	msi(INDEX);
	devtab[edu_id][1] = 6;
	note("log: its table entry was changed");
	msi(INDEX);
	wait_for_log();
}

TEST(commands_are_not_executed_at_once)
{
	static volatile u64 done;
	unsigned later = 0;

	iommu_setup();
	/* The machine may be so busy that some look as if they were. */
	for (unsigned i = 1; i <= 100; i++) {
		start_command(CMD_COMPLETION_WAIT, (u64)&done | 1, i);
		later += done != i;
		CHECK("executed", WAIT(done == i), 1);
	}
	CHECK("some are not", later > 0, 1);
}
