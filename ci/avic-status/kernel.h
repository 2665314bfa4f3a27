/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What avic.bpf.c reads of the kernel: of each type the fields that it uses, no others.
 * Where they are, and which of them there are, is found out when the program is loaded
 * (CO-RE).
 */
#ifndef KERNEL_H
#define KERNEL_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

struct upid {
	int nr;
};

struct pid {
	struct upid numbers[1];
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
};

struct qstr {
	const unsigned char *name;
};

struct super_block {
	unsigned long s_magic;
};

struct dentry {
	struct qstr d_name;
	struct super_block *d_sb;
};

struct path {
	struct dentry *dentry;
};

struct file {
	const void *f_op;
	struct path f_path;
	void *private_data;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

typedef struct {
	int counter;
} atomic_t;

struct kvm_arch {
	unsigned long apicv_inhibit_reasons;
	atomic_t apicv_nr_irq_window_req;
};

struct kvm {
	struct kvm_arch arch;
	atomic_t online_vcpus;
	int userspace_pid;
};

struct kvm_svm {
	struct kvm kvm;
	__u32 avic_vm_id;
	bool avic_posted_irqs;
};

struct kvm_lapic {
	bool apicv_active;
};

struct kvm_vcpu_arch {
	__u64 apic_base;
	struct kvm_lapic *apic;
};

struct kvm_vcpu_stat_generic {
	__u64 halt_wakeup;
};

struct kvm_vcpu_stat {
	struct kvm_vcpu_stat_generic generic;
	__u64 exits;
	__u64 irq_window_exits;
};

struct kvm_vcpu {
	struct kvm *kvm;
	int cpu;
	int vcpu_id;
	int vcpu_idx;
	struct pid *pid;
	struct kvm_vcpu_arch arch;
	struct kvm_vcpu_stat stat;
};

struct vmcb_control_area {
	__u32 int_ctl;
};

struct vmcb {
	struct vmcb_control_area control;
};

struct kvm_vmcb_info {
	struct vmcb *ptr;
};

struct vcpu_svm {
	struct kvm_vcpu vcpu;
	struct kvm_vmcb_info vmcb01;
	struct kvm_vmcb_info *current_vmcb;
	struct list_head ir_list;
	bool avic_irq_window;
};

/* An entry of ir_list: this one, or where there is no such type, the other one. */
struct amd_svm_iommu_ir {
	struct list_head node;
	void *data;
};

struct kvm_kernel_irqfd {
	struct list_head vcpu_list;
	void *irq_bypass_data;
};

struct amd_ir_data {
	void *entry;
};

#pragma clang attribute pop

#endif
