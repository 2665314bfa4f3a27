// SPDX-License-Identifier: GPL-2.0
/* Reads KVM's state of VMs and vCPUs, and counts events of AVIC.  It changes nothing. */
#include <linux/types.h>
#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "kernel.h"
#include "records.h"

char LICENSE[] SEC("license") = "GPL";

#define IRTES_MAX 256

/* Names of other files are anybody's to choose; linux/magic.h. */
#define ANON_INODE_FS_MAGIC 0x09041934

/* Of a VMCB's int_ctl: a virtual interrupt is pending, by which KVM learns of an IRQ window. */
#define INT_CTL_IRQ (1u << 8)

/* In the ICR's low half. */
#define ICR_BUSY (1u << 12)

/* In an IRTE's low half; the hardware's, so it does not change. */
#define IRTE_LOG_INTR (1ull << 2)
#define IRTE_GUEST_MODE (1ull << 7)

/* Files of VMs and vCPUs have these; 0 until the first one was found, by its name. */
__u64 vm_fops, vcpu_fops;

/* Bit N: the local APIC has a register at offset 16 * N. */
const volatile __u64 registers;

/* Who reads the iterator, as the kernel numbers processes. */
__u32 reader;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct spent);
	__type(value, __u64);
} spent SEC(".maps");

/* The inhibits of a process's VM, as it is known to have them; read_kvm() has those from before the watch. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} inhibits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct switched);
	__type(value, struct switches);
} switches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct logged);
	__type(value, __u64);
} logged SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TOTALS);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

static bool starts_with(const char *name, const char *with, int length)
{
	int i;

	for (i = 0; i < length; i++)
		if (name[i] != with[i])
			return false;
	return true;
}

/* Whether a file is a VM's or a vCPU's; by name the first time, then by its operations. */
static bool is_ours(struct file *file, bool *is_vcpu)
{
	struct dentry *dentry;
	__u64 fops = (__u64)file->f_op;
	char name[10] = {};

	*is_vcpu = vcpu_fops && fops == vcpu_fops;
	if (*is_vcpu || (vm_fops && fops == vm_fops))
		return true;
	if (vm_fops && vcpu_fops)
		return false;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(dentry, d_sb, s_magic) != ANON_INODE_FS_MAGIC ||
	    bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name)) < 0)
		return false;
	if (starts_with(name, "kvm-vm", sizeof("kvm-vm"))) {
		vm_fops = fops;
		return true;
	}
	if (starts_with(name, "kvm-vcpu:", sizeof("kvm-vcpu:") - 1)) {
		vcpu_fops = fops;
		*is_vcpu = true;
		return true;
	}
	return false;
}

static void read_vm(struct record *record, struct kvm *kvm)
{
	struct kvm_svm *svm = (void *)kvm;

	record->kvm = (__u64)kvm;
	record->owner = record->vcpus = record->windows = record->posted = UNKNOWN;
	if (bpf_core_field_exists(kvm->userspace_pid))
		record->owner = BPF_CORE_READ(kvm, userspace_pid);
	record->reasons = BPF_CORE_READ(kvm, arch.apicv_inhibit_reasons);
	if (bpf_core_field_exists(kvm->online_vcpus))
		record->vcpus = BPF_CORE_READ(kvm, online_vcpus.counter);
	if (bpf_core_field_exists(svm->avic_vm_id))
		record->vm_id = BPF_CORE_READ(svm, avic_vm_id);
	if (bpf_core_field_exists(svm->avic_posted_irqs))
		record->posted = BPF_CORE_READ(svm, avic_posted_irqs);
	if (bpf_core_field_exists(kvm->arch.apicv_nr_irq_window_req))
		record->windows = BPF_CORE_READ(kvm, arch.apicv_nr_irq_window_req.counter);
}

/* An entry of ir_list, in either form: what the IOMMU driver knows of the IRTE. */
static struct amd_ir_data *ir_data(struct list_head *node)
{
	if (bpf_core_type_exists(struct amd_svm_iommu_ir)) {
		struct amd_svm_iommu_ir *ir;

		ir = (void *)node - bpf_core_field_offset(struct amd_svm_iommu_ir, node);
		return BPF_CORE_READ(ir, data);
	}
	if (bpf_core_field_exists(struct kvm_kernel_irqfd, vcpu_list)) {
		struct kvm_kernel_irqfd *irqfd;

		irqfd = (void *)node - bpf_core_field_offset(struct kvm_kernel_irqfd, vcpu_list);
		return BPF_CORE_READ(irqfd, irq_bypass_data);
	}
	return NULL;
}

struct walk {
	struct record *record;
	struct list_head *head, *node;
};

static long read_irte(__u32 index, struct walk *walk)
{
	struct list_head *node = walk->node;
	struct amd_ir_data *data;
	__u64 low = 0;

	if (!node || node == walk->head)
		return 1;
	data = ir_data(node);
	walk->record->irtes++;
	if (data && !bpf_probe_read_kernel(&low, sizeof(low), BPF_CORE_READ(data, entry)) && low & IRTE_GUEST_MODE) {
		walk->record->irtes_posted++;
		if (low & IRTE_LOG_INTR)
			walk->record->irtes_logged++;
	}
	walk->node = BPF_CORE_READ(node, next);
	return 0;
}

/* The list may change meanwhile: what is read of it is a guess, but a read never faults. */
static void read_irtes(struct record *record, struct vcpu_svm *svm)
{
	struct walk walk = { .record = record };
	struct list_head *head;

	if (!bpf_core_field_exists(svm->ir_list) || !bpf_core_type_exists(struct amd_ir_data)) {
		record->irtes = record->irtes_posted = record->irtes_logged = UNKNOWN;
		return;
	}
	head = (void *)svm + bpf_core_field_offset(struct vcpu_svm, ir_list);
	walk.head = head;
	walk.node = BPF_CORE_READ(head, next);
	bpf_loop(IRTES_MAX, read_irte, &walk, 0);
}

static void read_vcpu(struct record *record, struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = (void *)vcpu;
	struct kvm_lapic *apic = BPF_CORE_READ(vcpu, arch.apic);

	record->vcpu = (__u64)vcpu;
	record->id = BPF_CORE_READ(vcpu, vcpu_id);
	record->idx = BPF_CORE_READ(vcpu, vcpu_idx);
	record->tid = BPF_CORE_READ(vcpu, pid, numbers[0].nr);
	record->apic_base = BPF_CORE_READ(vcpu, arch.apic_base);
	record->exits = record->window_exits = record->wakeups = UNKNOWN;
	if (bpf_core_field_exists(vcpu->stat.exits))
		record->exits = BPF_CORE_READ(vcpu, stat.exits);
	if (bpf_core_field_exists(vcpu->stat.irq_window_exits))
		record->window_exits = BPF_CORE_READ(vcpu, stat.irq_window_exits);
	if (bpf_core_field_exists(vcpu->stat.generic.halt_wakeup))
		record->wakeups = BPF_CORE_READ(vcpu, stat.generic.halt_wakeup);
	record->has_apic = !!apic;
	if (apic)
		record->active = BPF_CORE_READ(apic, apicv_active);
	record->int_ctl = BPF_CORE_READ(svm, vmcb01.ptr, control.int_ctl);
	record->nested = (void *)BPF_CORE_READ(svm, current_vmcb) !=
			 (void *)svm + bpf_core_field_offset(struct vcpu_svm, vmcb01);
	/* Older kernels don't remember it.  The VMCB has it, which is another one while nested. */
	if (bpf_core_field_exists(svm->avic_irq_window))
		record->window = BPF_CORE_READ(svm, avic_irq_window);
	else
		record->window = record->nested ? UNKNOWN : !!(record->int_ctl & INT_CTL_IRQ);
	read_irtes(record, svm);
}

SEC("iter/task_file")
int vms(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;
	struct record record = {};
	bool is_vcpu = false;
	void *what;

	reader = bpf_get_current_pid_tgid() >> 32;
	if (!file || !task || !is_ours(file, &is_vcpu))
		return 0;
	what = BPF_CORE_READ(file, private_data);
	record.tgid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&record.comm, task, comm);
	if (is_vcpu) {
		read_vm(&record, BPF_CORE_READ((struct kvm_vcpu *)what, kvm));
		read_vcpu(&record, what);
	} else {
		read_vm(&record, what);
	}
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* From here on: events, counted only while somebody watches. */

static void count_total(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&totals, &which);

	if (value)
		(*value)++;
}

static void count(void *map, const void *key)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(map, key);

	/* Of two that begin at a time, one is an update too late. */
	if (!value && !bpf_map_update_elem(map, key, &one, BPF_NOEXIST))
		return;
	value = bpf_map_lookup_elem(map, key);
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		count_total(LOST);
}

/* Of what a guest tries that is no register, only how often: it must not fill the map. */
static __u32 accessed(__u64 offset, __u64 write)
{
	__u32 what = offset;

	if (offset % 16 || offset >= NO_REGISTER || !(registers >> offset / 16 & 1))
		what = NO_REGISTER;
	else if (offset >= BANKS_BEGIN && offset < BANKS_END)
		what &= ~(BANK_SIZE - 1);
	return what | (write & 0xff ? WRITTEN : 0);
}

static void count_spent(__u32 kind, int vcpu_id, __u32 what)
{
	struct spent key = {
		.tid = (__u32)bpf_get_current_pid_tgid(),
		.vcpu_id = vcpu_id,
		.kind = kind,
		.what = what,
	};

	count(&spent, &key);
}

/* vcpu_id, offset, trap, write, vector */
SEC("raw_tp/kvm_avic_unaccelerated_access")
int unaccelerated(struct bpf_raw_tracepoint_args *ctx)
{
	count_spent(UNACCELERATED, ctx->args[0], accessed(ctx->args[1], ctx->args[3]));
	return 0;
}

/* write, register, value */
SEC("raw_tp/kvm_apic")
int emulated(struct bpf_raw_tracepoint_args *ctx)
{
	count_spent(EMULATED, UNKNOWN, accessed(ctx->args[1], ctx->args[0]));
	return 0;
}

/* vcpu_id, icrh, icrl, cause, index */
SEC("raw_tp/kvm_avic_incomplete_ipi")
int incomplete_ipi(struct bpf_raw_tracepoint_args *ctx)
{
	count_spent(IPI, ctx->args[0], (__u32)ctx->args[3] | (ctx->args[2] & ICR_BUSY ? BUSY : 0));
	return 0;
}

/* reason, set, all inhibits after it.  KVM also says so when nothing changes. */
SEC("raw_tp/kvm_apicv_inhibit_changed")
int inhibit_changed(struct bpf_raw_tracepoint_args *ctx)
{
	struct switched key = {
		.tgid = bpf_get_current_pid_tgid() >> 32,
		.reason = ctx->args[0],
	};
	bool set = ctx->args[1] & 0xff;
	__u64 *before, after = ctx->args[2];
	struct switches *old, new = {};
	bool was_set;

	/* A VM begins without any. */
	before = bpf_map_lookup_elem(&inhibits, &key.tgid);
	was_set = before && *before >> (key.reason & 63) & 1;
	if (bpf_map_update_elem(&inhibits, &key.tgid, &after, BPF_ANY))
		count_total(LOST);
	if (was_set == set)
		return 0;
	old = bpf_map_lookup_elem(&switches, &key);
	if (old)
		new = *old;
	new.is_set = set;
	new.since = bpf_ktime_get_ns();
	if (set)
		new.sets++;
	else
		new.clears++;
	if (bpf_map_update_elem(&switches, &key, &new, BPF_ANY))
		count_total(LOST);
	return 0;
}

/* vm_id, vcpu */
SEC("raw_tp/kvm_avic_ga_log")
int ga_log(struct bpf_raw_tracepoint_args *ctx)
{
	struct logged key = { .vm_id = ctx->args[0], .vcpu = ctx->args[1] };

	count(&logged, &key);
	count_total(GA_LOG_ENTRIES);
	return 0;
}

SEC("raw_tp/kvm_avic_doorbell")
int doorbell(struct bpf_raw_tracepoint_args *ctx)
{
	count_total(DOORBELLS);
	return 0;
}

SEC("raw_tp/kvm_pi_irte_update")
int irte_update(struct bpf_raw_tracepoint_args *ctx)
{
	count_total(IRTES_UPDATED);
	return 0;
}

/* The IOMMU driver restarts the GA Log when it has overflowed. */
SEC("fentry/amd_iommu_restart_ga_log")
int overflow(void *ctx)
{
	count_total(GA_LOG_OVERFLOWS);
	return 0;
}

/* Where the kernel has no fentry.  Debian's perf_event_paranoid lets only root have it. */
SEC("kprobe/amd_iommu_restart_ga_log")
int overflow_by_kprobe(void *ctx)
{
	count_total(GA_LOG_OVERFLOWS);
	return 0;
}
