// SPDX-License-Identifier: GPL-2.0-or-later
/* What the event log does with its registers, and when it is full */
#include "iommu.h"

#define LOG_VECTOR 0x71

void suite_setup(void)
{
	iommu_setup();
}

static void illegal_command(void)
{
	command(CMD_ILLEGAL, 0, 0);
}

TEST(tail_and_status)
{
	control(0, CTRL_EVENT_LOG_EN);
	illegal_command();
	CHECK("tail register", iommu_read(MMIO_EVENT_TAIL), 16);
	CHECK("EventLogInt", !!(status() & STATUS_EVENT_INT), 1);
	CHECK("ComWaitInt", !!(status() & STATUS_COM_WAIT_INT), 0);
}

TEST(no_interrupt_unless_enabled)
{
	set_iommu_msi(0, LOG_VECTOR);
	control(0, CTRL_EVENT_LOG_EN);
	illegal_command();
	CHECK("interrupts without EventIntEn", taken(LOG_VECTOR), 0);
}

/* The log has 256 entries; software has read all that are there */
TEST(log_takes_more_events_than_it_has_entries)
{
	control(0, CTRL_EVENT_LOG_EN);
	for (unsigned i = 0; i < EVENT_SIZE / 16; i++) {
		illegal_command();
		iommu_write(MMIO_EVENT_HEAD, (i + 1) * 16 % EVENT_SIZE);
	}
	for (unsigned i = 0; i < EVENT_SIZE / 16; i++)
		if (events[2 * i] >> 60 != 5) {
			CHECK("entries that were written", i, EVENT_SIZE / 16);
			break;
		}
	CHECK("EventOverflow", !!(status() & STATUS_EVENT_OVERFLOW), 0);
}
