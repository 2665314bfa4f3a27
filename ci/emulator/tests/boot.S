/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry points: the boot processor by PVH, the others by a trampoline at
 * 0x8000. All end in 64-bit mode with the first 4 GiB mapped one to one.
 */
	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	start32

	.text
	.code32
	.globl	start32
start32:
	cld
	lgdt	gdt_ptr
	ljmp	$0x18, $1f
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss

	/* 2 MiB pages */
	movl	$pdpt + 7, pml4
	xor	%ecx, %ecx
1:	mov	%ecx, %eax
	shl	$12, %eax
	add	$pd + 7, %eax
	mov	%eax, pdpt(, %ecx, 8)
	inc	%ecx
	cmp	$4, %ecx
	jb	1b
	xor	%ecx, %ecx
1:	mov	%ecx, %eax
	shl	$21, %eax
	or	$0xe7, %eax
	mov	%eax, pd(, %ecx, 8)
	inc	%ecx
	cmp	$2048, %ecx
	jb	1b
	movl	$stacks + STACK_SIZE, boot_stack

to_long_mode:
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x1100, %eax		/* LME, SVME */
	wrmsr
	mov	$0x80000011, %eax
	mov	%eax, %cr0
	ljmp	$8, $start64

	.code64
start64:
	mov	boot_stack, %esp
	xor	%ebp, %ebp
	lidt	idt_ptr
	call	start_c
1:	cli
	hlt
	jmp	1b

	/* Copied to 0x8000 */
	.globl	trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	0x8000 + (2f - trampoline)
	mov	$0x11, %eax
	mov	%eax, %cr0
	ljmpl	$0x18, $ap32
2:	.word	gdt_end - gdt - 1
	.long	gdt
trampoline_end:

	/* Copied to 0x38000; data segments are flat in SMM */
	.globl	smm_handler, smm_handler_end
smm_handler:
	mov	$smm_data, %edi
	mov	$0xfee00020, %ebx
	mov	(%ebx), %eax
	mov	%eax, (%edi)
	mov	$0xfee01020, %ebx
	mov	(%ebx), %eax
	mov	%eax, 4(%edi)
	incl	8(%edi)
1:	pause
	cmpl	$0, 12(%edi)
	jne	1b
	rsm
smm_handler_end:

	.code32
ap32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	jmp	to_long_mode

/* void vmrun(struct regs *regs, uint64_t vmcb): swaps all but RAX and RSP */
	.code64
	.globl	vmrun
vmrun:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	%rsi, %rax
	mov	0(%rdi), %rbx
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rsi
	mov	40(%rdi), %rbp
	mov	48(%rdi), %r8
	mov	56(%rdi), %r9
	mov	64(%rdi), %r10
	mov	72(%rdi), %r11
	mov	80(%rdi), %r12
	mov	88(%rdi), %r13
	mov	96(%rdi), %r14
	mov	104(%rdi), %r15
	mov	32(%rdi), %rdi
	vmrun
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rbx, 0(%rdi)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rsi, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%r8, 48(%rdi)
	mov	%r9, 56(%rdi)
	mov	%r10, 64(%rdi)
	mov	%r11, 72(%rdi)
	mov	%r12, 80(%rdi)
	mov	%r13, 88(%rdi)
	mov	%r14, 96(%rdi)
	mov	%r15, 104(%rdi)
	pop	%rax
	mov	%rax, 32(%rdi)
	pop	%rdi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* Accesses whose address a test knows: (address or MSR, value) */
	.globl	ins_read, ins_read_done, ins_write, ins_write_done
read32:
	.globl	read32
ins_read:
	movl	(%rdi), %eax
ins_read_done:
	ret
	.globl	write32
write32:
ins_write:
	movl	%esi, (%rdi)
ins_write_done:
	ret
	.globl	ins_rdmsr, ins_rdmsr_done, ins_wrmsr, ins_wrmsr_done
	.globl	read_msr
read_msr:
	mov	%edi, %ecx
ins_rdmsr:
	rdmsr
ins_rdmsr_done:
	shl	$32, %rdx
	or	%rdx, %rax
	ret
	.globl	write_msr
write_msr:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
ins_wrmsr:
	wrmsr
ins_wrmsr_done:
	ret

	.globl	guest_return
guest_return:
	vmmcall
	jmp	guest_return

	/* Interrupts: an error code or 0, then the vector */
	.globl	idt_stubs
	.balign	16
idt_stubs:
	vector = 0
	.rept	256
	.balign	16
	.if !(vector == 8 || (vector >= 10 && vector <= 14))
	push	$0
	.endif
	push	$vector
	jmp	interrupt
	vector = vector + 1
	.endr

interrupt:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	72(%rsp), %rdi		/* vector */
	mov	88(%rsp), %rsi		/* RIP */
	cld
	call	handle_interrupt
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.globl	gdt, gdt_ptr, idt_ptr, boot_stack
	.balign	16
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 08: 64-bit code */
	.quad	0x00cf93000000ffff	/* 10: data */
	.quad	0x00cf9b000000ffff	/* 18: 32-bit code */
gdt_end:
gdt_ptr:
	.word	gdt_end - gdt - 1
	.quad	gdt
idt_ptr:
	.word	256 * 16 - 1
	.quad	idt
boot_stack:
	.long	0

	.bss
	.globl	pml4, pdpt, pd, stacks
	.balign	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4 * 4096
stacks:	.skip	STACK_SIZE * 16

	.section .note.GNU-stack, "", @progbits
