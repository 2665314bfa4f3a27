// SPDX-License-Identifier: GPL-2.0
/* What follows from what was read; it reads nothing itself. */
#include <string.h>

#include "status.h"

const char *parameter(const struct host *host, const char *name)
{
	int i;

	for (i = 0; i < PARAMETERS_MAX; i++)
		if (host->parameters[i].name && !strcmp(host->parameters[i].name, name))
			return host->parameters[i].value;
	return "";
}

static bool says_no(const char *value)
{
	return value[0] == 'N' || value[0] == '0';
}

static void misses(struct host *host, bool it_does, const char *key)
{
	if (it_does && host->missing_count < ADVICE_MAX)
		host->missing[host->missing_count++] = key;
}

static bool iommu_may_post(const struct host *host)
{
	return host->iommus && host->iommu_ga && host->iommu_posts && !host->iommu_legacy;
}

/* KVM says no also where AVIC is off, or the IOMMU can't. */
static bool kvm_posts(const struct host *host)
{
	return !says_no(parameter(host, "enable_device_posted_irqs"));
}

bool host_posts(const struct host *host)
{
	return iommu_may_post(host) && kvm_posts(host);
}

/* What is missing, the most important first: nothing else is if that is. */
void judge_host(struct host *host)
{
	/* Zen 1 and 2, and Hygon's. */
	host->erratum_1235 = host->amd && (host->family == 0x17 || host->family == 0x18);
	host->missing_count = 0;
	if (!host->amd) {
		misses(host, true, "host.amd");
		return;
	}
	if (!host->svm) {
		misses(host, true, "host.svm");
		return;
	}
	misses(host, !host->avic, "host.cpu-avic");
	misses(host, !host->kvm_amd, "host.kvm-amd");
	misses(host, host->kvm_amd && says_no(parameter(host, "npt")), "host.npt");
	misses(host, host->kvm_amd && says_no(parameter(host, "avic")), "host.avic");
	misses(host, host->avic && !host->x2avic, "host.x2avic");
	misses(host, host->erratum_1235, "host.erratum-1235");
	misses(host, !host->iommus, "host.iommu");
	misses(host, host->iommus && !(host->iommu_ga && host->iommu_posts), "host.iommu-posts");
	misses(host, host->iommus && host->iommu_legacy, "host.iommu-legacy");
	misses(host, iommu_may_post(host) && !says_no(parameter(host, "avic")) && !kvm_posts(host), "host.posted-irqs");
}

void judge_vcpu(struct vcpu *vcpu, const struct vm *vm)
{
	const struct record *record = &vcpu->record;
	bool x2apic = record->apic_base & APIC_BASE_X2APIC;

	vcpu->why = "";
	vcpu->mode = "-";
	vcpu->on = false;
	vcpu->apic = !record->has_apic			      ? "-" :
		     !(record->apic_base & APIC_BASE_ENABLED) ? "off" :
		     x2apic				      ? "x2APIC" :
								"xAPIC";
	if (vm->record.reasons)
		return;
	if (record->nested)
		vcpu->why = "NESTED";
	else if (!record->has_apic)
		vcpu->why = "no APIC in KVM";
	else if (!(record->apic_base & APIC_BASE_ENABLED))
		vcpu->why = "the guest has its APIC off";
	else if (!record->active || !(record->int_ctl & INT_CTL_AVIC))
		vcpu->why = "on when it runs next";
	else
		vcpu->on = true;
	if (vcpu->on)
		vcpu->mode = record->int_ctl & INT_CTL_X2AVIC ? "x2AVIC" : x2apic ? "hybrid" : "xAVIC";
}
