// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The IOMMU's interrupt remapping and guest virtual APIC mode: entries, their
 * cache, posting, doorbell, GA Log, event log, and the IOMMU's own interrupts.
 */
#include "iommu.h"

#define HOST_VECTOR 0x61
#define OTHER_VECTOR 0x62
#define LOG_VECTOR 0x71

void suite_setup(void)
{
	iommu_setup();
}

static void remap_to(unsigned cpu, u8 vector)
{
	write_irte(INDEX, IRTE_REMAP_EN | IRTE_DEST(cpu), vector);
}

static void clear_irr(struct vcpu *v)
{
	for (unsigned i = 0; i < 8; i++)
		apic_set(v, APIC_IRR + i * 16, 0);
}

/* IVRS: the ACPI table that the kernel takes the features from */

static u64 find_table(const char *name, u64 root)
{
	u32 len = *(u32 *)(root + 4);

	for (u64 entry = root + 36; entry < root + len; entry += 4) {
		u64 table = *(u32 *)entry;

		if (*(u32 *)table == *(u32 *)name)
			return table;
	}
	return 0;
}

static u64 find_root_table(void)
{
	for (u64 p = 0xe0000; p < 0x100000; p += 16)
		if (*(u64 *)p == 0x2052545020445352ULL)	/* "RSD PTR " */
			return *(u32 *)(p + 16);
	return 0;
}

TEST(features)
{
	u64 efr = iommu_read(MMIO_EFR), table, end, image = 0;

	CHECK("GASup", !!(efr & EFR_GA), 1);
	CHECK("GAMSup", efr & EFR_GAM, EFR_GAM_VAPIC);
	CHECK("XTSup", !!(efr & EFR_XT), 1);

	table = find_table("IVRS", find_root_table());
	CHECK("IVRS", !!table, 1);
	end = table + *(u32 *)(table + 4);
	for (u64 p = table + 48; p < end; p += *(u16 *)(p + 2))
		if (*(u8 *)p == 0x11) {
			image = *(u64 *)(p + 24);
			CHECK("EFR2's image", *(u64 *)(p + 32),
			      iommu_read(MMIO_EFR2));
		}
	CHECK("EFR's image", image, efr);
}

TEST(registers_are_masked)
{
	iommu_write(MMIO_EFR, 0);
	CHECK("EFR", iommu_read(MMIO_EFR) & EFR_GAM, EFR_GAM_VAPIC);
	iommu_write(MMIO_STATUS, 0);
	CHECK("status", status(), STATUS_CMD_RUN);
	iommu_write(MMIO_STATUS, -1ULL);
	CHECK("status", status(), STATUS_CMD_RUN);
}

/* Remapping */

TEST(interrupt_control)
{
	u64 dte = (u64)irt | DTE_INT_TAB_LEN(INT_TABLE_LEN) | DTE_IV;

	remap_to(0, HOST_VECTOR);
	msi(INDEX);
	CHECK("remapped", taken(HOST_VECTOR), 1);
	set_dte(edu_id, dte);
	msi(HOST_VECTOR);
	CHECK("aborted", taken(HOST_VECTOR), 1);
	set_dte(edu_id, dte | DTE_INT_PASS);
	msi(HOST_VECTOR);
	CHECK("forwarded", taken(HOST_VECTOR), 2);
	set_dte(edu_id, 0);
	msi(HOST_VECTOR);
	CHECK("no table", taken(HOST_VECTOR), 3);
}

TEST(entry_without_remap_en_is_refused)
{
	write_irte(INDEX, 0, HOST_VECTOR);
	msi(INDEX);
	CHECK("taken", taken(HOST_VECTOR), 0);
	remap_to(0, HOST_VECTOR);	/* it was not cached */
	msi(INDEX);
	CHECK("taken", taken(HOST_VECTOR), 1);
}

TEST(table_has_a_length)
{
	write_irte(127, IRTE_REMAP_EN, HOST_VECTOR);
	write_irte(128, IRTE_REMAP_EN, HOST_VECTOR);
	msi(127);
	CHECK("last", taken(HOST_VECTOR), 1);
	msi(128);
	CHECK("beyond", taken(HOST_VECTOR), 1);
}

/* Entries of 32 bits, without GAEn */
TEST(short_entries)
{
	volatile u32 *entries = (u32 *)irt;
	const u32 valid = BIT(0), guest_mode = BIT(7);

	control(CTRL_GA_EN, CTRL_GAM_VAPIC);
	entries[INDEX] = valid | HOST_VECTOR << 16;
	msi(INDEX);
	CHECK("remapped", taken(HOST_VECTOR), 1);
	entries[INDEX] = valid | OTHER_VECTOR << 16;
	msi(INDEX);
	CHECK("cached", taken(HOST_VECTOR), 2);
	invalidate_irt(edu_id);
	msi(INDEX);
	CHECK("new", taken(OTHER_VECTOR), 1);
	entries[INDEX] = valid | guest_mode | OTHER_VECTOR << 16;
	invalidate_irt(edu_id);
	msi(INDEX);
	CHECK("refused", taken(OTHER_VECTOR), 1);
	/* The other format does not take what is in the cache */
	remap_to(0, HOST_VECTOR);
	control(0, CTRL_GA_EN);
	msi(INDEX);
	CHECK("128 bits", taken(HOST_VECTOR), 3);
}

/* What comes behind shows that processor 3 has taken all there is to take */
static void check_x2apic_destination(u32 id, bool hits)
{
	unsigned before = host_irqs[OTHER_VECTOR], last = host_irqs[HOST_VECTOR];

	write_irte(INDEX, IRTE_REMAP_EN | IRTE_DEST(id & 0xffffff),
		   IRTE_HI_DEST(id) | OTHER_VECTOR);
	invalidate_irt(edu_id);
	msi(INDEX);
	remap_to(3, HOST_VECTOR);
	invalidate_irt(edu_id);
	msi(INDEX);
	CHECK("last", WAIT(host_irqs[HOST_VECTOR] == last + 1), 1);
	CHECK("taken", host_irqs[OTHER_VECTOR], before + hits);
}

TEST(destination_has_32_bits_with_xten)
{
	start_x2apic();
	check_x2apic_destination(3, true);
	check_x2apic_destination(0x103, true);
	check_x2apic_destination(0x1000003, true);
	control(0, CTRL_XT_EN);
	check_x2apic_destination(3, true);
	check_x2apic_destination(0x103, false);
	check_x2apic_destination(0x1000003, false);
	stop_x2apic();
}

/* The cache */

/* Use an entry, change it without an invalidation, and use it once more */
static void use_twice(void)
{
	remap_to(0, HOST_VECTOR);
	msi(INDEX);
	CHECK("before", taken(HOST_VECTOR), 1);
	remap_to(0, OTHER_VECTOR);
	msi(INDEX);
}

TEST(entries_are_cached)
{
	use_twice();
	CHECK("old", taken(HOST_VECTOR), 2);
	CHECK("new", taken(OTHER_VECTOR), 0);
	write_irte(INDEX, 0, 0);
	msi(INDEX);
	CHECK("removed", taken(HOST_VECTOR), 3);
}

static void check_flush(const char *what, unsigned op, u64 low, bool flushes)
{
	unsigned old = host_irqs[HOST_VECTOR], new = host_irqs[OTHER_VECTOR];

	command(CMD_INVALIDATE_ALL, 0, 0);
	remap_to(0, HOST_VECTOR);
	msi(INDEX);
	CHECK(what, taken(HOST_VECTOR), old + 1);
	remap_to(0, OTHER_VECTOR);
	command(op, low, 0);
	msi(INDEX);
	CHECK(what, taken(OTHER_VECTOR), new + flushes);
	CHECK(what, taken(HOST_VECTOR), old + 2 - flushes);
}

TEST(invalidations)
{
	check_flush("interrupt table", CMD_INVALIDATE_INTERRUPT_TABLE, edu_id,
		    true);
	check_flush("other device", CMD_INVALIDATE_INTERRUPT_TABLE, edu_id + 8,
		    false);
	check_flush("all", CMD_INVALIDATE_ALL, 0, true);
	check_flush("device table entry", CMD_INVALIDATE_DEVTAB, edu_id, false);
	check_flush("completion wait", CMD_COMPLETION_WAIT, 0, false);
}

TEST(cache_can_be_disabled)
{
	control(0, CTRL_IRTCACHE_DIS);
	use_twice();
	CHECK("new", taken(OTHER_VECTOR), 1);
}

TEST(guest_entry_is_cached_but_for_what_changes)
{
	struct vcpu *one = logged_guest(), *two = vcpu_init(2, vmmcall_only, 0);

	msi(INDEX);
	CHECK("tag", galog[0], log_entry(TAG));
	post_to(two, IRTE_GALOG_INTR | IRTE_TAG(TAG + 1));
	clear_irr(one);
	msi(INDEX);
	CHECK("page: old", vector_get(one, APIC_IRR, VECTOR), 1);
	CHECK("page: new", vector_get(two, APIC_IRR, VECTOR), 0);
	CHECK("tag: new", galog[1], log_entry(TAG + 1));
	invalidate_irt(edu_id);
	msi(INDEX);
	CHECK("page: new", vector_get(two, APIC_IRR, VECTOR), 1);
	CHECK("logged", galog_tail, 3 * 8);
	/* GALogIntr */
	post_to(two, IRTE_TAG(TAG));
	msi(INDEX);
	CHECK("not logged", galog_tail, 3 * 8);
	/* IsRun */
	post_to(two, IRTE_IS_RUN | IRTE_GALOG_INTR | IRTE_DEST(0));
	msi(INDEX);
	CHECK("not logged", galog_tail, 3 * 8);
}

/* A hypervisor that forgets an invalidation has this */
TEST(stale_guest_entry_goes_nowhere)
{
	struct vcpu *v = logged_guest();

	msi(INDEX);
	clear_irr(v);
	/* Lowest priority: what was GALogIntr is set */
	write_irte(INDEX, IRTE_REMAP_EN | BIT(2), HOST_VECTOR);
	msi(INDEX);
	CHECK("host", taken(HOST_VECTOR), 0);
	CHECK("guest", vector_get(v, APIC_IRR, VECTOR), 1);
	CHECK("logged", galog_tail, 8);
	invalidate_irt(edu_id);
	msi(INDEX);
	CHECK("host", taken(HOST_VECTOR), 1);
}

/* Posting */

TEST(guest_mode_has_to_be_enabled)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);

	post_to(v, 0);
	msi(INDEX);
	CHECK("without GAMEn", vector_get(v, APIC_IRR, VECTOR), 0);
	control(0, 2 * CTRL_GAM_VAPIC);
	msi(INDEX);
	CHECK("another mode", vector_get(v, APIC_IRR, VECTOR), 0);
	control(2 * CTRL_GAM_VAPIC, CTRL_GAM_VAPIC);
	msi(INDEX);
	CHECK("with it", vector_get(v, APIC_IRR, VECTOR), 1);
}

TEST(every_vector_is_posted)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);

	enable_guest_mode();
	for (unsigned vector = 16; vector < 256; vector++) {
		u32 irr[8] = {};

		write_irte(INDEX, GUEST_IRTE, IRTE_HI((u64)v->apic, vector));
		invalidate_irt(edu_id);
		clear_irr(v);
		msi(INDEX);
		irr[vector / 32] = 1U << (vector % 32);
		for (unsigned i = 0; i < 8; i++)
			CHECK("IRR", apic_get(v, APIC_IRR + i * 16), irr[i]);
		CHECK("TMR", apic_get(v, APIC_TMR + vector / 32 * 16), 0);
		CHECK("host", host_irqs[vector], 0);
	}
}

TEST(posting_keeps_the_rest_of_the_irr)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);

	enable_guest_mode();
	vector_set(v, APIC_IRR, VECTOR ^ 1);
	post_to(v, 0);
	msi(INDEX);
	CHECK("other", vector_get(v, APIC_IRR, VECTOR ^ 1), 1);
	CHECK("posted", vector_get(v, APIC_IRR, VECTOR), 1);
}

TEST(backing_page_has_to_be_ram)
{
	u64 pages[] = { IOMMU_BASE, 0xffff0000, 1ULL << 45 };

	enable_guest_mode();
	enable_galog();
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		write_irte(INDEX, GUEST_IRTE | IRTE_GALOG_INTR,
			   IRTE_HI(pages[i], VECTOR));
		invalidate_irt(edu_id);
		msi(INDEX);
	}
	CHECK("logged", iommu_read(MMIO_GALOG_TAIL), 0);
}

static void guest_sti(u64 arg)
{
	(void)arg;
	sti();
	asm volatile("nop; nop");
	vmmcall();
}

TEST(vmrun_finds_what_was_posted)
{
	struct vcpu *v = vcpu_init(0, guest_sti, 0);

	enable_guest_mode();
	post_to(v, 0);
	msi(INDEX);
	run(v);
	CHECK("interrupts", v->nr_irqs, 1);
	CHECK("vector", v->irqs[0], VECTOR);
}

static void check_doorbell(void (*fn)(u64), bool x2avic)
{
	struct vcpu *v;

	iommu_setup();
	enable_guest_mode();
	v = start_guest(1, fn, x2avic);
	CHECK("runs", WAIT(up[1]), 1);
	post_to(v, IRTE_IS_RUN | IRTE_DEST(1));
	for (u32 i = 0; i < 50 && v->nr_irqs == i; i++) {
		msi(INDEX);
		WAIT(v->nr_irqs > i);
	}
	CHECK("interrupts", v->nr_irqs, 50);
	CHECK("vector", v->irqs[0], VECTOR);
	finish(v);
}

TEST(running_guest_gets_a_doorbell)
{
	check_doorbell(guest_spin, false);
	check_doorbell(guest_halt, false);
	check_doorbell(guest_spin, true);
	check_doorbell(guest_halt, true);
}

TEST(no_doorbell_without_is_run)
{
	struct vcpu *v = start_guest(1, guest_spin, false);

	enable_guest_mode();
	CHECK("runs", WAIT(up[1]), 1);
	post_to(v, IRTE_DEST(1));
	msi(INDEX);
	delay();
	CHECK("without", v->nr_irqs, 0);
	post_to(v, IRTE_DEST(1) | IRTE_IS_RUN);
	msi(INDEX);
	CHECK("with", WAIT(v->nr_irqs == 1), 1);
	finish(v);
}

/* Vectors pend in the IRR of two guests: who takes it got the doorbell */
static void check_destination(u64 lo, u64 hi, unsigned target)
{
	struct vcpu *v[2] = { start_guest(1, guest_spin, false),
			      start_guest(2, guest_spin, false) };

	CHECK("run", WAIT(up[1] && up[2]), 1);
	vector_set(v[0], APIC_IRR, 0x51);
	vector_set(v[1], APIC_IRR, 0x51);
	write_irte(INDEX, GUEST_IRTE | IRTE_IS_RUN | lo,
		   hi | IRTE_HI((u64)vcpus[3].apic, VECTOR));
	msi(INDEX);
	if (target)
		CHECK("target", WAIT(v[target - 1]->nr_irqs), 1);
	delay();
	CHECK("1", v[0]->nr_irqs, target == 1);
	CHECK("2", v[1]->nr_irqs, target == 2);
	finish(v[0]);
	finish(v[1]);
}

TEST(doorbell_goes_to_the_destination)
{
	vcpu_init(3, vmmcall_only, 0);
	enable_guest_mode();
	check_destination(IRTE_DEST(1), 0, 1);
	check_destination(IRTE_DEST(2), 0, 2);
	check_destination(IRTE_DEST(0x101), 0, 1);
	control(0, CTRL_XT_EN);
	check_destination(IRTE_DEST(2), 0, 2);
	check_destination(IRTE_DEST(0x101), 0, 0);
	check_destination(IRTE_DEST(1), IRTE_HI_DEST(1 << 24), 0);
}

/*
 * The entry is read again after the vector was set. To see it, the table is the
 * backing page: the vector's bit in the IRR is IsRun of entry 33.
 */
TEST(is_run_is_read_after_the_irr_is_set)
{
	struct vcpu *v = start_guest(1, guest_spin, false);

	enable_guest_mode();
	CHECK("runs", WAIT(up[1]), 1);
	vector_set(v, APIC_IRR, VECTOR);
	write_irte(33, GUEST_IRTE | IRTE_DEST(1), IRTE_HI((u64)irt, 0x26));
	msi(33);
	CHECK("IsRun", !!(irt[33].lo & IRTE_IS_RUN), 1);
	CHECK("doorbell", WAIT(v->nr_irqs == 1), 1);
	finish(v);
}

/* Entries that change between two forms, by another processor */
static volatile bool stop_changing, changing;

static void change_entry(void *page)
{
	changing = true;
	while (!stop_changing) {
		write_irte(INDEX, IRTE_REMAP_EN, HOST_VECTOR);
		write_irte(INDEX, GUEST_IRTE, IRTE_HI((u64)page, OTHER_VECTOR));
	}
}

/* In the local APIC, with interrupts off */
static bool pending(u8 vector)
{
	return apic_read(APIC_IRR + (vector >> 5) * 16) >> (vector & 31) & 1;
}

TEST(entries_are_read_at_once)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);
	u8 *zero = (u8 *)0 + APIC_IRR + (HOST_VECTOR >> 5) * 16 +
		   (HOST_VECTOR >> 3 & 3);
	u8 before;

	asm("" : "+r"(zero));
	before = *zero & ~BIT(HOST_VECTOR & 7);
	*zero = before;
	control(0, CTRL_IRTCACHE_DIS);
	enable_guest_mode();
	remap_to(0, HOST_VECTOR);
	stop_changing = changing = false;
	start_on(2, change_entry, v->apic);
	CHECK("changes", WAIT(changing), 1);
	for (unsigned i = 0; i < 20000; i++)
		msi(INDEX);
	/* Both forms, however busy the machine is */
	CHECK("both", WAIT((msi(INDEX), pending(HOST_VECTOR) &&
				vector_get(v, APIC_IRR, OTHER_VECTOR))), 1);
	stop_changing = true;
	wait_for(2);
	CHECK("guest's vector in the host", taken(OTHER_VECTOR), 0);
	CHECK("host's vector in the guest", vector_get(v, APIC_IRR, HOST_VECTOR), 0);
	CHECK("no page", *zero, before);
}

/* The GA Log */

TEST(log_has_entries)
{
	struct vcpu *v = logged_guest();

	for (unsigned i = 0; i < 3; i++) {
		post_to(v, IRTE_GALOG_INTR | IRTE_TAG(TAG + i));
		msi(INDEX);
		CHECK("entry", galog[i], log_entry(TAG + i));
		CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 8 * (i + 1));
		CHECK("tail in memory", galog_tail, 8 * (i + 1));
		CHECK("head", iommu_read(MMIO_GALOG_HEAD), 0);
		CHECK("next entry", galog[i + 1], 0);
	}
	CHECK("IRR", vector_get(v, APIC_IRR, VECTOR), 1);
}

TEST(log_is_for_guests_that_do_not_run)
{
	struct vcpu *v = logged_guest();

	post_to(v, IRTE_TAG(TAG));
	msi(INDEX);
	CHECK("without GALogIntr", iommu_read(MMIO_GALOG_TAIL), 0);
	post_to(v, IRTE_GALOG_INTR | IRTE_IS_RUN | IRTE_DEST(1) | IRTE_TAG(TAG));
	msi(INDEX);
	CHECK("with IsRun", iommu_read(MMIO_GALOG_TAIL), 0);
	CHECK("IRR", vector_get(v, APIC_IRR, VECTOR), 1);
}

TEST(log_has_to_be_enabled)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);

	enable_guest_mode();
	CHECK("GALogRun", !!(status() & STATUS_GALOG_RUN), 0);
	post_to(v, IRTE_GALOG_INTR);
	msi(INDEX);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 0);
	CHECK("IRR", vector_get(v, APIC_IRR, VECTOR), 1);
	CHECK("GAInt", !!(status() & STATUS_GALOG_INT), 0);
	control(0, CTRL_GALOG_EN);
	CHECK("GALogRun", !!(status() & STATUS_GALOG_RUN), 1);
	msi(INDEX);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 8);
	control(CTRL_GALOG_EN, 0);
	CHECK("GALogRun", !!(status() & STATUS_GALOG_RUN), 0);
	msi(INDEX);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 8);
	control(CTRL_IOMMU_EN, CTRL_GALOG_EN);
	CHECK("GALogRun", !!(status() & STATUS_GALOG_RUN), 0);
	control(0, CTRL_IOMMU_EN);
	CHECK("GALogRun", !!(status() & STATUS_GALOG_RUN), 1);
}

/* GAInt interrupts when it changes from 0 to 1 */
static void check_log_interrupt(void)
{
	msi(INDEX);
	CHECK("first", taken(LOG_VECTOR), 1);
	CHECK("GAInt", !!(status() & STATUS_GALOG_INT), 1);
	msi(INDEX);
	CHECK("GAInt still set", taken(LOG_VECTOR), 1);
	iommu_write(MMIO_STATUS, STATUS_GALOG_INT);
	CHECK("GAInt", !!(status() & STATUS_GALOG_INT), 0);
	CHECK("cleared", taken(LOG_VECTOR), 1);
	msi(INDEX);
	CHECK("next", taken(LOG_VECTOR), 2);
	iommu_write(MMIO_STATUS, STATUS_GALOG_INT);
	control(CTRL_GAINT_EN, 0);
	msi(INDEX);
	CHECK("without GAIntEn", taken(LOG_VECTOR), 2);
	CHECK("GAInt", !!(status() & STATUS_GALOG_INT), 1);
	CHECK("tail", galog_tail, 4 * 8);
}

TEST(log_interrupt_by_msi)
{
	logged_guest();
	set_iommu_msi(0, LOG_VECTOR);
	check_log_interrupt();
}

static u64 xt_interrupt(u32 dest, u8 vector)
{
	return (u64)(dest & 0xffffff) << 8 | (u64)vector << 32 |
	       (u64)(dest >> 24) << 56;
}

TEST(log_interrupt_by_xt_register)
{
	logged_guest();
	set_iommu_msi(0, OTHER_VECTOR);
	iommu_write(MMIO_XT_GEN, xt_interrupt(0, OTHER_VECTOR));
	iommu_write(MMIO_XT_GA, xt_interrupt(0, LOG_VECTOR));
	control(0, CTRL_INTCAPXT_EN);
	check_log_interrupt();
	CHECK("others", taken(OTHER_VECTOR), 0);
}

static void send_xt(u32 id, u8 vector)
{
	iommu_write(MMIO_XT_GA, xt_interrupt(id, vector));
	iommu_write(MMIO_STATUS, STATUS_GALOG_INT);
	msi(INDEX);
}

static void check_xt_destination(u32 id, bool hits)
{
	unsigned before = host_irqs[LOG_VECTOR + 1], last = host_irqs[LOG_VECTOR];

	send_xt(id, LOG_VECTOR + 1);
	send_xt(3, LOG_VECTOR);
	CHECK("last", WAIT(host_irqs[LOG_VECTOR] == last + 1), 1);
	CHECK("taken", host_irqs[LOG_VECTOR + 1], before + hits);
}

TEST(xt_register_has_32_bits_of_destination)
{
	logged_guest();
	control(0, CTRL_INTCAPXT_EN);
	start_x2apic();
	check_xt_destination(3, true);
	check_xt_destination(0x103, false);
	check_xt_destination(0x1000003, false);
	send_xt(0, 0);		/* Linux masks it like this */
	CHECK("vector 0", apic_read(APIC_IRR) & 1, 0);
	stop_x2apic();
}

TEST(log_is_a_ring)
{
	logged_guest();
	for (unsigned i = 0; i < 3 * GALOG_ENTRIES; i++) {
		u64 next = (i + 1) % GALOG_ENTRIES * 8;

		msi(INDEX);
		CHECK("tail", iommu_read(MMIO_GALOG_TAIL), next);
		iommu_write(MMIO_GALOG_HEAD, next);
	}
	CHECK("overflow", !!(status() & STATUS_GALOG_OVERFLOW), 0);
	CHECK("past the end", galog[GALOG_ENTRIES], 0);
}

TEST(log_has_the_size_of_its_base_register)
{
	logged_guest();
	control(CTRL_GALOG_EN, 0);
	iommu_write(MMIO_GALOG_BASE, (u64)galog | (GALOG_LEN + 1ULL) << 56);
	control(0, CTRL_GALOG_EN);
	for (unsigned i = 0; i < 2 * GALOG_ENTRIES - 1; i++)
		msi(INDEX);
	CHECK("tail", galog_tail, 2 * GALOG_SIZE - 8);
	CHECK("overflow", !!(status() & STATUS_GALOG_OVERFLOW), 0);
	msi(INDEX);
	CHECK("overflow", !!(status() & STATUS_GALOG_OVERFLOW), 1);
}

/* Fill it, beginning at an entry in the middle; one stays free */
static struct vcpu *fill_log(void)
{
	struct vcpu *v = logged_guest();

	iommu_write(MMIO_GALOG_HEAD, 100 * 8);
	iommu_write(MMIO_GALOG_TAIL, 100 * 8);
	for (unsigned i = 0; i < GALOG_ENTRIES - 1; i++)
		msi(INDEX);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 99 * 8);
	CHECK("full", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_RUN),
	      STATUS_GALOG_RUN);
	return v;
}

TEST(log_overflows)
{
	struct vcpu *v = fill_log();

	set_iommu_msi(0, LOG_VECTOR);
	iommu_write(MMIO_STATUS, STATUS_GALOG_INT);
	clear_irr(v);
	msi(INDEX);
	CHECK("overflow", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_RUN),
	      STATUS_GALOG_OVERFLOW);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 99 * 8);
	CHECK("free entry", galog[99], 0);
	CHECK("no interrupt", taken(LOG_VECTOR), 0);
	CHECK("GAInt", !!(status() & STATUS_GALOG_INT), 0);
	CHECK("IRR", vector_get(v, APIC_IRR, VECTOR), 1);
	/* Room does not help: it has stopped */
	iommu_write(MMIO_GALOG_HEAD, 99 * 8);
	msi(INDEX);
	CHECK("stopped", iommu_read(MMIO_GALOG_TAIL), 99 * 8);
}

TEST(log_is_restarted)
{
	fill_log();
	msi(INDEX);
	iommu_write(MMIO_GALOG_HEAD, 99 * 8);
	/* 2.7.4: it wants both */
	control(CTRL_GALOG_EN, 0);
	control(0, CTRL_GALOG_EN);
	CHECK("not cleared", !!(status() & STATUS_GALOG_RUN), 0);
	iommu_write(MMIO_STATUS, STATUS_GALOG_OVERFLOW);
	control(0, 0);
	control(CTRL_IOMMU_EN, 0);
	control(0, CTRL_IOMMU_EN);
	CHECK("cleared", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_RUN), 0);
	msi(INDEX);
	CHECK("not enabled again", iommu_read(MMIO_GALOG_TAIL), 99 * 8);
	control(CTRL_GALOG_EN, 0);
	control(0, CTRL_GALOG_EN);
	CHECK("runs", !!(status() & STATUS_GALOG_RUN), 1);
	msi(INDEX);
	CHECK("goes on", iommu_read(MMIO_GALOG_TAIL), 100 * 8);
	CHECK("entry", galog[99], log_entry(TAG));
}

TEST(status_bits_are_cleared_one_by_one)
{
	fill_log();
	msi(INDEX);
	CHECK("both", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_INT),
	      STATUS_GALOG_OVERFLOW | STATUS_GALOG_INT);
	iommu_write(MMIO_STATUS, STATUS_EVENT_INT);
	iommu_write(MMIO_STATUS, 0);
	CHECK("both", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_INT),
	      STATUS_GALOG_OVERFLOW | STATUS_GALOG_INT);
	write32(IOMMU_BASE + MMIO_STATUS, STATUS_GALOG_INT);
	CHECK("overflow", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_INT),
	      STATUS_GALOG_OVERFLOW);
	write32(IOMMU_BASE + MMIO_STATUS, STATUS_GALOG_OVERFLOW);
	CHECK("none", status() & (STATUS_GALOG_OVERFLOW | STATUS_GALOG_INT), 0);
}

TEST(base_register_resets_the_pointers)
{
	logged_guest();
	msi(INDEX);
	control(CTRL_GALOG_EN, 0);
	iommu_write(MMIO_GALOG_HEAD, 8);
	iommu_write(MMIO_GALOG_BASE, (u64)galog | (u64)GALOG_LEN << 56);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 0);
	CHECK("head", iommu_read(MMIO_GALOG_HEAD), 0);
}

/*
 * A hypervisor's protocol: the guest's processor clears IsRun when the guest
 * blocks, then looks at the IRR; who finds a log entry wakes it. No interrupt
 * is lost, whoever is quicker.
 */
#define ROUNDS 300

static volatile u32 to_wake, sleeps;

static void guest_hlt_forever(u64 id)
{
	(void)id;
	for (;;)
		asm volatile("sti; hlt; cli" ::: "memory");
}

static void run_blocking(void *arg)
{
	struct vcpu *v = arg;

	while (!stop) {
		post_to(v, IRTE_IS_RUN | IRTE_DEST(1) | IRTE_TAG(TAG));
		run(v);			/* until HLT */
		set64(v, V_RIP, get64(v, V_RIP) + 1);
		set32(v, V_INT_STATE, 0);
		post_to(v, IRTE_GALOG_INTR | IRTE_TAG(TAG));
		if (vector_get(v, APIC_IRR, VECTOR))
			continue;
		sleeps++;
		while (!stop && !__atomic_exchange_n(&to_wake, 0,
						     __ATOMIC_SEQ_CST))
			pause();
	}
}

/* As a handler does: clear GAInt, then read */
static void read_log(void)
{
	u64 head = iommu_read(MMIO_GALOG_HEAD);

	iommu_write(MMIO_STATUS, STATUS_GALOG_INT);
	while (head != iommu_read(MMIO_GALOG_TAIL)) {
		CHECK("entry", galog[head / 8], log_entry(TAG));
		head = (head + 8) % GALOG_SIZE;
		iommu_write(MMIO_GALOG_HEAD, head);
		__atomic_store_n(&to_wake, 1, __ATOMIC_SEQ_CST);
	}
}

TEST(blocking_guest_loses_nothing)
{
	struct vcpu *v;
	u32 i, seen = 0;

	logged_guest();
	set_iommu_msi(0, LOG_VECTOR);
	v = vcpu_init(1, guest_hlt_forever, 1);
	v->eoi = true;
	stop = false;
	to_wake = sleeps = 0;
	start_on(1, run_blocking, v);
	sti();
	for (i = 0; i < ROUNDS; i++) {
		u64 end = rdtsc() + TIMEOUT;

		msi(INDEX);
		while (v->nr_irqs == i && rdtsc() < end) {
			if (seen != host_irqs[LOG_VECTOR]) {
				seen++;
				read_log();
			}
			pause();
		}
		if (v->nr_irqs == i)
			break;
	}
	cli();
	CHECK("interrupts", i, ROUNDS);
	CHECK("some by the log", seen > 0, 1);
	note("%d by doorbell, %d by the log, %d sleeps", ROUNDS - seen, seen,
	     sleeps);
	stop = true;
	msi(INDEX);
	wait_for(1);
}

/* The event log, and interrupts for it */

static void illegal_command(void)
{
	command(CMD_ILLEGAL, 0, 0);
}

TEST(events)
{
	control(0, CTRL_EVENT_LOG_EN);
	CHECK("EventLogRun", !!(status() & STATUS_EVENT_RUN), 1);
	for (unsigned i = 0; i < 2; i++) {
		illegal_command();
		CHECK("code", events[2 * i] >> 60, 5);
		CHECK("tail", iommu_read(MMIO_EVENT_TAIL), 16 * (i + 1));
	}
	CHECK("EventLogInt", !!(status() & STATUS_EVENT_INT), 1);
	CHECK("ComWaitInt", !!(status() & STATUS_COM_WAIT_INT), 0);
}

/* 2.5.3: IO_PAGE_FAULT tells a page that is not there from one that is protected */
TEST(page_faults)
{
	static u64 pages[512] PAGE_ALIGNED;
	static volatile u32 data[PAGE / 4] PAGE_ALIGNED;
	const u64 address = 5 * PAGE, rw = ENTRY_READ | ENTRY_WRITE;
	unsigned logged = 0;

	devtab[edu_id][0] = (u64)pages | rw | ENTRY_LEVEL(1) | DTE_TV | ENTRY_PRESENT;
	devtab[edu_id][1] = 0x1234;
	control(0, CTRL_EVENT_LOG_EN);
	for (unsigned i = 0; i < 5; i++) {
		static const struct {
			u64 entry;
			bool write;
			u64 flags;
		} cases[] = {
			{ 0, false, 0 },
			{ 0, true, EVENT_WRITE },
			{ ENTRY_PRESENT | ENTRY_READ, true, EVENT_WRITE | EVENT_PRESENT },
			{ ENTRY_PRESENT | ENTRY_WRITE, false, EVENT_PRESENT },
			{ ENTRY_READ | ENTRY_WRITE, false, 0 },
		};

		note("case %d", i);
		pages[5] = cases[i].entry | (cases[i].entry ? (u64)data : 0);
		command(CMD_INVALIDATE_ALL, 0, 0);
		(cases[i].write ? edu_write : edu_read)(address);
		CHECK("tail", iommu_read(MMIO_EVENT_TAIL), 16 * ++logged);
		CHECK("event", events[2 * i],
		      (u64)EVENT_PAGE_FAULT << 60 | EVENT_DOMAIN(0x1234) |
		      cases[i].flags | edu_id);
		CHECK("address", events[2 * i + 1], address);
	}

	pages[5] = (u64)data | rw | ENTRY_PRESENT;
	command(CMD_INVALIDATE_ALL, 0, 0);
	data[0] = 0x12345678;
	edu_read(address);
	data[0] = 0;
	edu_write(address);
	CHECK("data", data[0], 0x12345678);
	CHECK("no more faults", iommu_read(MMIO_EVENT_TAIL), 16 * logged);
}

/* 2.5.3, I=1; 2.2.2.1: IG; 2.2.5: SupIOPF. The device sends, nothing arrives. */
static void check_refused(const char *what, unsigned data, u64 flags)
{
	u64 tail = iommu_read(MMIO_EVENT_TAIL);

	msi(data);
	CHECK(what, iommu_read(MMIO_EVENT_TAIL), tail + 16);
	CHECK(what, events[tail / 8], (u64)EVENT_PAGE_FAULT << 60 |
	      EVENT_DOMAIN(0x1234) | EVENT_INTERRUPT | flags | edu_id);
	CHECK(what, events[tail / 8 + 1], APIC_BASE);
}

static void check_refused_quietly(const char *what, unsigned data)
{
	u64 tail = iommu_read(MMIO_EVENT_TAIL);

	msi(data);
	CHECK(what, iommu_read(MMIO_EVENT_TAIL), tail);
}

/* An entry of 32 or of 128 bits, whose low bits are the same */
static void set_entry(bool short_entry, unsigned index, u64 low)
{
	volatile u32 *entries = (u32 *)irt;

	if (short_entry)
		entries[index] = low;
	else
		write_irte(index, low, HOST_VECTOR);
	invalidate_irt(edu_id);
}

static void check_refusals(bool short_entry)
{
	const u64 dte = devtab[edu_id][2];

	devtab[edu_id][1] = 0x1234;
	command(CMD_INVALIDATE_DEVTAB, edu_id, 0);
	control(0, CTRL_EVENT_LOG_EN);
	for (u64 type = 2; type < 8; type++) {
		set_entry(short_entry, INDEX, IRTE_REMAP_EN | IRTE_TYPE(type));
		check_refused("reserved type", INDEX, EVENT_PRESENT | EVENT_RESERVED);
	}
	check_refused("no entry", INDEX + 4, 0);
	check_refused("beyond the table", 128, 0);
	set_entry(short_entry, INDEX + 4, IRTE_NO_FAULT);
	check_refused_quietly("SupIOPF", INDEX + 4);

	set_dte(edu_id, dte | DTE_IGNORE_UNMAPPED);
	check_refused_quietly("IG", INDEX);
	check_refused_quietly("IG", 128);
	set_dte(edu_id, dte & ~DTE_INT_REMAP);
	check_refused("IntCtl", INDEX, EVENT_PRESENT | EVENT_PERMISSION);
	msi(INDEX | 4 << 8);
	CHECK("NMI is logged", events[iommu_read(MMIO_EVENT_TAIL) / 8 - 2],
	      (u64)EVENT_PAGE_FAULT << 60 | EVENT_DOMAIN(0x1234) | EVENT_INTERRUPT |
	      EVENT_PRESENT | EVENT_PERMISSION | edu_id);
	set_dte(edu_id, dte);
	CHECK("taken", taken(HOST_VECTOR), 0);
}

TEST(refused_interrupts)
{
	check_refusals(false);
}

TEST(refused_interrupts_with_short_entries)
{
	control(CTRL_GA_EN, 0);
	check_refusals(true);
}

static void check_event_interrupts(void)
{
	illegal_command();
	CHECK("not enabled", taken(LOG_VECTOR), 0);
	iommu_write(MMIO_STATUS, STATUS_EVENT_INT);
	control(0, CTRL_EVENT_INT_EN);
	illegal_command();
	illegal_command();
	CHECK("enabled", taken(LOG_VECTOR), 1);
	command(CMD_COMPLETION_WAIT, 2, 0);
	CHECK("completion not enabled", taken(LOG_VECTOR), 1);
	iommu_write(MMIO_STATUS, STATUS_COM_WAIT_INT);
	control(0, CTRL_COM_WAIT_INT_EN);
	command(CMD_COMPLETION_WAIT, 2, 0);
	CHECK("completion", taken(LOG_VECTOR), 2);
}

TEST(event_interrupt_by_msi)
{
	set_iommu_msi(0, LOG_VECTOR);
	control(0, CTRL_EVENT_LOG_EN);
	check_event_interrupts();
}

TEST(event_interrupt_by_xt_register)
{
	iommu_write(MMIO_XT_GEN, xt_interrupt(0, LOG_VECTOR));
	iommu_write(MMIO_XT_GA, xt_interrupt(0, OTHER_VECTOR));
	set_iommu_msi(0, OTHER_VECTOR);
	control(0, CTRL_EVENT_LOG_EN | CTRL_INTCAPXT_EN);
	check_event_interrupts();
	CHECK("others", taken(OTHER_VECTOR), 0);
}

TEST(event_log_overflows_and_is_restarted)
{
	set_iommu_msi(0, LOG_VECTOR);
	control(0, CTRL_EVENT_LOG_EN | CTRL_EVENT_INT_EN);
	for (unsigned i = 0; i < EVENT_SIZE / 16 - 1; i++)
		illegal_command();
	CHECK("full", status() & (STATUS_EVENT_OVERFLOW | STATUS_EVENT_RUN),
	      STATUS_EVENT_RUN);
	CHECK("interrupt", taken(LOG_VECTOR), 1);
	illegal_command();
	CHECK("overflow", status() & (STATUS_EVENT_OVERFLOW | STATUS_EVENT_RUN),
	      STATUS_EVENT_OVERFLOW);
	CHECK("interrupt", taken(LOG_VECTOR), 2);
	CHECK("tail", iommu_read(MMIO_EVENT_TAIL), EVENT_SIZE - 16);
	iommu_write(MMIO_EVENT_HEAD, EVENT_SIZE - 16);
	control(CTRL_EVENT_LOG_EN, 0);
	iommu_write(MMIO_STATUS, STATUS_EVENT_OVERFLOW);
	control(0, CTRL_EVENT_LOG_EN);
	illegal_command();
	CHECK("tail", iommu_read(MMIO_EVENT_TAIL), 0);
	CHECK("past the end", events[EVENT_SIZE / 8], 0);
}
