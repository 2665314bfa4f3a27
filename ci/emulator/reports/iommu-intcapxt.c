// SPDX-License-Identifier: GPL-2.0-or-later
/* IntCapXTEn: the IOMMU's interrupts come by register 0170h, not by its MSI */
#include "iommu.h"

#define MSI_VECTOR 0x62
#define XT_VECTOR 0x71

void suite_setup(void)
{
	iommu_setup();
}

TEST(interrupt_comes_by_the_xt_register)
{
	CHECK("XTSup", !!(iommu_read(MMIO_EFR) & EFR_XT), 1);
	set_iommu_msi(0, MSI_VECTOR);
	iommu_write(MMIO_XT_GEN, (u64)XT_VECTOR << 32);
	control(0, CTRL_INTCAPXT_EN | CTRL_COM_WAIT_INT_EN);
	command(CMD_COMPLETION_WAIT, BIT(1), 0);
	CHECK("interrupts by the register", taken(XT_VECTOR), 1);
	CHECK("interrupts by the MSI", taken(MSI_VECTOR), 0);
}
