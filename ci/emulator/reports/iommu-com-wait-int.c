// SPDX-License-Identifier: GPL-2.0-or-later
/* COMPLETION_WAIT interrupts if software has set ComWaitIntEn, and not else */
#include "iommu.h"

#define MSI_VECTOR 0x71

void suite_setup(void)
{
	iommu_setup();
}

TEST(interrupt_has_to_be_enabled)
{
	set_iommu_msi(0, MSI_VECTOR);
	command(CMD_COMPLETION_WAIT, BIT(1), 0);
	CHECK("interrupts without ComWaitIntEn", taken(MSI_VECTOR), 0);
	iommu_write(MMIO_STATUS, STATUS_COM_WAIT_INT);
	control(0, CTRL_COM_WAIT_INT_EN);
	command(CMD_COMPLETION_WAIT, BIT(1), 0);
	CHECK("interrupts with ComWaitIntEn", taken(MSI_VECTOR), 1);
}
