// SPDX-License-Identifier: GPL-2.0-or-later
/* IO_PAGE_FAULT: what DMA leaves to a page that is not there, or that forbids it */
#include "iommu.h"

#define DOMAIN 0x1234
#define ADDRESS (5 * PAGE)

static u64 pages[512] PAGE_ALIGNED;
static volatile u32 data[PAGE / 4] PAGE_ALIGNED;

void suite_setup(void)
{
	iommu_setup();
	devtab[edu_id][0] = (u64)pages | ENTRY_READ | ENTRY_WRITE | ENTRY_LEVEL(1) |
			    DTE_TV | ENTRY_PRESENT;
	devtab[edu_id][1] = DOMAIN;
	control(0, CTRL_EVENT_LOG_EN);
}

static void check(u64 entry, bool write, u64 flags)
{
	pages[ADDRESS / PAGE] = entry ? entry | (u64)data : 0;
	command(CMD_INVALIDATE_ALL, 0, 0);
	iommu_write(MMIO_EVENT_HEAD, 0);
	iommu_write(MMIO_EVENT_TAIL, 0);
	events[0] = events[1] = 0;
	(write ? edu_write : edu_read)(ADDRESS);
	CHECK("event", events[0], (u64)EVENT_PAGE_FAULT << 60 | flags |
				  EVENT_DOMAIN(DOMAIN) | edu_id);
	CHECK("address", events[1], ADDRESS);
}

TEST(read_of_a_page_that_is_zero)
{
	check(0, false, 0);
}

TEST(read_of_a_page_that_is_not_present)
{
	check(ENTRY_READ | ENTRY_WRITE, false, 0);
}

TEST(write_to_a_read_only_page)
{
	check(ENTRY_PRESENT | ENTRY_READ, true, EVENT_PRESENT | EVENT_WRITE);
}

/* The device's own entry forbids it: QEMU 10.0 looks at this one */
TEST(write_to_a_read_only_device)
{
	devtab[edu_id][0] &= ~ENTRY_WRITE;
	check(ENTRY_PRESENT | ENTRY_READ, true, EVENT_PRESENT | EVENT_WRITE);
}
