// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What real machines may do, and the emulated one does only if it is asked to:
 * x-late-log-entries, x-late-log-run and x-ga-log-left-overflowed. The other
 * suites show that it does none of it by default.
 */
#include "iommu.h"

#define LOG_VECTOR 0x71
#define STOPPED (STATUS_GALOG_OVERFLOW | STATUS_GALOG_RUN)

void suite_setup(void)
{
	static bool again;

	if (again)	/* The first test sees what the reset has left */
		iommu_setup();
	again = true;
}

static u64 galog_status(void)
{
	return status() & STOPPED;
}

/* x-ga-log-left-overflowed */

TEST(reset_leaves_the_log_overflowed)
{
	CHECK("control", iommu_read(MMIO_CONTROL), CTRL_GALOG_EN | CTRL_GAINT_EN);
	CHECK("status", status(), STATUS_GALOG_OVERFLOW);
	iommu_write(MMIO_STATUS, STATUS_GALOG_OVERFLOW);
	control(0, CTRL_IOMMU_EN);
	control(0, CTRL_GALOG_EN);
	CHECK("overflow cleared", galog_status(), 0);
	control(CTRL_IOMMU_EN, 0);
	control(0, CTRL_IOMMU_EN);
	CHECK("IommuEn cleared", galog_status(), 0);
	control(CTRL_GALOG_EN, 0);
	control(0, CTRL_GALOG_EN);
	CHECK("GALogEn cleared", galog_status(), STATUS_GALOG_RUN);
}

/* x-late-log-entries */

TEST(entry_lands_after_the_tail)
{
	logged_guest();
	set_iommu_msi(0, LOG_VECTOR);
	msi(INDEX);
	CHECK("tail in memory", galog_tail, 8);
	CHECK("interrupt", taken(LOG_VECTOR), 1);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 8);
	CHECK("at once", galog[0], 0);
	CHECK("later", WAIT(galog[0]), 1);
	CHECK("entry", galog[0], log_entry(TAG));
}

TEST(entry_lands_though_nobody_reads_the_tail)
{
	logged_guest();
	msi(INDEX);
	CHECK("at once", galog[0], 0);
	CHECK("later", WAIT(galog[0] == log_entry(TAG)), 1);
}

/*
 * A driver that waits finds each entry, one that doesn't what was there before,
 * unless the machine is so busy that it comes late itself.
 */
TEST(last_laps_entries_are_there_until_then)
{
	const unsigned some = 64;
	struct vcpu *v = logged_guest();
	u64 before = 0;

	for (u32 lap = 0; lap < 3; lap++) {
		unsigned old = 0;

		iommu_write(MMIO_GALOG_HEAD, 0);
		iommu_write(MMIO_GALOG_TAIL, 0);
		post_to(v, IRTE_GALOG_INTR | IRTE_TAG(TAG + lap));
		for (unsigned i = 0; i < some; i++) {
			msi(INDEX);
			CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 8 * (i + 1));
			old += galog[i] == before;
		}
		CHECK("most of them at once", old > some / 2, 1);
		for (unsigned i = 0; i < some; i++)
			CHECK("later", WAIT(galog[i] == log_entry(TAG + lap)), 1);
		CHECK("no more", galog[some], 0);
		before = log_entry(TAG + lap);
	}
}

TEST(entries_have_landed_when_the_log_is_disabled)
{
	logged_guest();
	for (unsigned i = 0; i < 3; i++)
		msi(INDEX);
	CHECK("at once", galog[0], 0);
	control(CTRL_GALOG_EN, 0);
	for (unsigned i = 0; i < 3; i++)
		CHECK("entry", galog[i], log_entry(TAG));
	CHECK("no more", galog[3], 0);
}

/* x-late-log-run */

static void overflow(void)
{
	logged_guest();
	for (unsigned i = 0; i < GALOG_ENTRIES; i++)
		msi(INDEX);
}

TEST(run_clears_after_the_overflow_was_cleared)
{
	u64 begin;
	bool early;

	overflow();
	begin = rdtsc();
	CHECK("overflow", galog_status(), STOPPED);
	/* The driver reads the log, and may take some time for it */
	delay();
	early = galog_status() == STOPPED;
	CHECK("still", early || rdtsc() - begin > 4 * DELAY, 1);
	iommu_write(MMIO_STATUS, STATUS_GALOG_OVERFLOW);
	for (unsigned i = 0; i < 10; i++)
		delay();
	CHECK("at once", galog_status(), early ? STATUS_GALOG_RUN : 0);
	CHECK("later", WAIT(!(status() & STATUS_GALOG_RUN)), 1);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), GALOG_SIZE - 8);
}

TEST(run_clears_though_nobody_clears_the_overflow)
{
	overflow();
	CHECK("at once", galog_status(), STOPPED);
	CHECK("later", WAIT(galog_status() == STATUS_GALOG_OVERFLOW), 1);
}

TEST(log_takes_nothing_while_it_stops)
{
	overflow();
	iommu_write(MMIO_GALOG_HEAD, GALOG_SIZE - 8);
	iommu_write(MMIO_STATUS, STATUS_GALOG_OVERFLOW);
	msi(INDEX);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), GALOG_SIZE - 8);
	CHECK("runs", galog_status(), STATUS_GALOG_RUN);
	control(CTRL_GALOG_EN, 0);
	CHECK("disabled", galog_status(), 0);
	control(0, CTRL_GALOG_EN);
	msi(INDEX);
	CHECK("goes on", iommu_read(MMIO_GALOG_TAIL), 0);
	/* It is no log that stops any more */
	status();
	delay();
	CHECK("runs", galog_status(), STATUS_GALOG_RUN);
}

TEST(run_of_the_event_log)
{
	const u64 both = STATUS_EVENT_OVERFLOW | STATUS_EVENT_RUN;

	set_iommu_msi(0, LOG_VECTOR);
	control(0, CTRL_EVENT_LOG_EN);
	for (unsigned i = 0; i < EVENT_SIZE / 16 - 1; i++)
		command(CMD_ILLEGAL, 0, 0);
	control(0, CTRL_EVENT_INT_EN);
	command(CMD_ILLEGAL, 0, 0);
	CHECK("interrupt", taken(LOG_VECTOR), 1);
	CHECK("overflow", status() & both, both);
	iommu_write(MMIO_STATUS, STATUS_EVENT_OVERFLOW);
	CHECK("at once", status() & both, STATUS_EVENT_RUN);
	CHECK("later", WAIT(!(status() & STATUS_EVENT_RUN)), 1);
	CHECK("tail", iommu_read(MMIO_EVENT_TAIL), EVENT_SIZE - 16);
}
