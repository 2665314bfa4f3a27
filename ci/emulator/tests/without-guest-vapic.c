// SPDX-License-Identifier: GPL-2.0-or-later
/* Without guest-vapic=on the IOMMU is what it was */
#include "iommu.h"

#define HOST_VECTOR 0x61

void suite_setup(void)
{
	iommu_setup();
}

TEST(features)
{
	u64 efr = iommu_read(MMIO_EFR);

	CHECK("GAMSup", efr & EFR_GAM, 0);
	CHECK("XTSup", !!(efr & EFR_XT), 0);
}

TEST(guest_mode_is_refused)
{
	struct vcpu *v = vcpu_init(1, vmmcall_only, 0);

	control(0, CTRL_GAM_VAPIC | CTRL_GAINT_EN | CTRL_GALOG_EN);
	CHECK("GALogRun", !!(status() & STATUS_GALOG_RUN), 0);
	irt[INDEX].hi = IRTE_HI((u64)v->apic, HOST_VECTOR);
	irt[INDEX].lo = IRTE_REMAP_EN | IRTE_GUEST_MODE | IRTE_GALOG_INTR;
	msi(INDEX);
	CHECK("IRR", vector_get(v, APIC_IRR, HOST_VECTOR), 0);
	CHECK("host", taken(HOST_VECTOR), 0);
	CHECK("tail", iommu_read(MMIO_GALOG_TAIL), 0);
}

TEST(entries_are_not_cached)
{
	irt[INDEX].hi = HOST_VECTOR;
	irt[INDEX].lo = IRTE_REMAP_EN;
	msi(INDEX);
	CHECK("before", taken(HOST_VECTOR), 1);
	irt[INDEX].hi = HOST_VECTOR + 1;
	msi(INDEX);
	CHECK("after", taken(HOST_VECTOR + 1), 1);
}

TEST(xt_bits_are_nothing)
{
	control(0, CTRL_XT_EN | CTRL_INTCAPXT_EN);
	irt[INDEX].hi = IRTE_HI_DEST(1 << 24) | HOST_VECTOR;
	irt[INDEX].lo = IRTE_REMAP_EN | IRTE_DEST(0x100);
	msi(INDEX);
	CHECK("remapped", taken(HOST_VECTOR), 1);
	set_iommu_msi(0, HOST_VECTOR + 1);
	iommu_write(MMIO_XT_GEN, (HOST_VECTOR + 2ULL) << 32);
	control(0, CTRL_EVENT_LOG_EN | CTRL_EVENT_INT_EN);
	command(CMD_ILLEGAL, 0, 0);
	CHECK("MSI", taken(HOST_VECTOR + 1), 1);
	CHECK("XT", taken(HOST_VECTOR + 2), 0);
}
