// SPDX-License-Identifier: GPL-2.0-or-later
/* A bit of the status register is cleared by writing one to it */
#include "iommu.h"

void suite_setup(void)
{
	iommu_setup();
}

TEST(com_wait_int_can_be_cleared)
{
	command(CMD_COMPLETION_WAIT, BIT(1), 0);
	CHECK("ComWaitInt, after COMPLETION_WAIT with i=1",
	      !!(status() & STATUS_COM_WAIT_INT), 1);
	iommu_write(MMIO_STATUS, STATUS_COM_WAIT_INT);
	CHECK("ComWaitInt, after a one was written to it",
	      !!(status() & STATUS_COM_WAIT_INT), 0);
}
