// SPDX-License-Identifier: MIT
/* BAR0 and the doorbells. Accesses are 32 or 64 bits wide and aligned. */
#include <string.h>

#include <hw/hearth_mmu.h>

#include "npu.h"

void npu_regs_reset(struct npu *npu)
{
	memset(&npu->regs, 0, sizeof(npu->regs));
}

static uint32_t contract(struct npu *npu)
{
	if (npu_inject_armed(&npu->inject, NPU_INJECT_FW_VERSION, NULL))
		return (HEARTH_CONTRACT_MAJOR + 1) << 16;
	return HEARTH_CONTRACT;
}

static uint32_t read_state(struct npu *npu, uint64_t offset)
{
	const struct npu_regs *r = &npu->regs;

	switch (offset) {
	case HEARTH_REG_STATUS:
		return r->status;
	case HEARTH_REG_BOOT_ERROR:
		return r->boot_error;
	case HEARTH_REG_FW_VERSION:
		return r->fw_version;
	case HEARTH_REG_FW_ADDR_LO:
		return r->fw_addr;
	case HEARTH_REG_FW_ADDR_HI:
		return r->fw_addr >> 32;
	case HEARTH_REG_FW_SIZE:
		return r->fw_size;
	case HEARTH_REG_BOOT_ARGS_LO:
		return r->boot_args;
	case HEARTH_REG_BOOT_ARGS_HI:
		return r->boot_args >> 32;
	case HEARTH_REG_IRQ_STATUS:
		return r->irq_status;
	case HEARTH_REG_IRQ_ENABLE:
		return r->irq_enable;
	default:
		return 0;
	}
}

static uint32_t read_caps(const struct npu_caps *caps, uint64_t offset)
{
	switch (offset) {
	case HEARTH_REG_OPS_LO:
		return caps->ops;
	case HEARTH_REG_OPS_HI:
		return caps->ops >> 32;
	case HEARTH_REG_TYPES_LO:
		return caps->types;
	case HEARTH_REG_TYPES_HI:
		return caps->types >> 32;
	case HEARTH_REG_SRAM_BYTES:
		return NPU_SRAM_BYTES;
	case HEARTH_REG_VA_BITS:
		return HEARTH_MMU_VA_BITS;
	case HEARTH_REG_PAGE_SIZES:
		return 1u << HEARTH_MMU_PAGE_SHIFT | 1u << HEARTH_MMU_CONT_SHIFT |
		       1u << HEARTH_MMU_BLOCK_SHIFT;
	case HEARTH_REG_SLOTS:
		return caps->slots;
	case HEARTH_REG_CONTEXTS:
		return NPU_CONTEXTS;
	case HEARTH_REG_PRIORITIES:
		return NPU_PRIORITIES;
	case HEARTH_REG_FREQ_MHZ:
		return NPU_FREQ_MHZ;
	default:
		return 0;
	}
}

static uint32_t read_reg(struct npu *npu, uint64_t offset)
{
	uint32_t value;

	switch (offset) {
	case HEARTH_REG_ID:
		return HEARTH_ID;
	case HEARTH_REG_CONTRACT:
		return contract(npu);
	}
	if (offset >= HEARTH_REG_OPS_LO)
		return read_caps(&npu->caps, offset);
	pthread_mutex_lock(&npu->lock);
	value = read_state(npu, offset);
	pthread_mutex_unlock(&npu->lock);
	return value;
}

uint64_t npu_bar_read(void *device, unsigned int bar, uint64_t offset,
		      unsigned int bytes)
{
	struct npu *npu = device;
	uint64_t value;

	if (bar != HEARTH_BAR_REGS || bytes < 4 || offset % bytes)
		return 0;
	value = read_reg(npu, offset);
	if (bytes == 8)
		value |= (uint64_t)read_reg(npu, offset + 4) << 32;
	return value;
}

/* The message of a cause; a host that took one vector gets all on it. */
static void send_irq(struct npu *npu, uint32_t cause)
{
	unsigned int vector = cause & HEARTH_IRQ_EVENT ? HEARTH_VECTOR_EVENT
						       : HEARTH_VECTOR_STATE;

	if (!npu->removed && !vfu_dma_blocked(&npu->vfu.dma) &&
	    !vfu_irq_trigger(&npu->vfu.irqs, vector))
		npu_count(npu, irqs);
}

static void raise_locked(struct npu *npu, uint32_t cause)
{
	npu->regs.irq_status |= cause;
	if (npu->regs.irq_enable & cause)
		send_irq(npu, cause);
}

void npu_raise(struct npu *npu, uint32_t cause)
{
	pthread_mutex_lock(&npu->lock);
	raise_locked(npu, cause);
	pthread_mutex_unlock(&npu->lock);
}

void npu_set_status(struct npu *npu, uint32_t status)
{
	pthread_mutex_lock(&npu->lock);
	npu->regs.status = status;
	raise_locked(npu, HEARTH_IRQ_STATE);
	pthread_mutex_unlock(&npu->lock);
}

uint32_t npu_status(struct npu *npu)
{
	uint32_t status;

	pthread_mutex_lock(&npu->lock);
	status = npu->regs.status;
	pthread_mutex_unlock(&npu->lock);
	return status;
}

/* Causes that are pending when they are enabled are not lost. */
static void write_irq_enable(struct npu *npu, uint32_t value)
{
	uint32_t fresh = value & HEARTH_IRQ_ALL & ~npu->regs.irq_enable;

	npu->regs.irq_enable = value & HEARTH_IRQ_ALL;
	fresh &= npu->regs.irq_status;
	if (fresh & HEARTH_IRQ_EVENT)
		send_irq(npu, HEARTH_IRQ_EVENT);
	if (fresh & HEARTH_IRQ_STATE)
		send_irq(npu, HEARTH_IRQ_STATE);
}

static void write_ctrl(struct npu *npu, uint32_t value)
{
	if (!(value & HEARTH_CTRL_BOOT) || npu->regs.status != HEARTH_STATUS_OFF)
		return;
	npu->regs.status = HEARTH_STATUS_BOOTING;
	npu->boot_asked = true;
	raise_locked(npu, HEARTH_IRQ_STATE);
	pthread_cond_signal(&npu->fw_wake);
}

static void set_half(uint64_t *reg, bool high, uint32_t value)
{
	if (high)
		*reg = (uint32_t)*reg | (uint64_t)value << 32;
	else
		*reg = (*reg & ~0xffffffffull) | value;
}

static void write_locked(struct npu *npu, uint64_t offset, uint32_t value)
{
	struct npu_regs *r = &npu->regs;

	switch (offset) {
	case HEARTH_REG_CTRL:
		write_ctrl(npu, value);
		break;
	case HEARTH_REG_FW_ADDR_LO:
	case HEARTH_REG_FW_ADDR_HI:
		set_half(&r->fw_addr, offset == HEARTH_REG_FW_ADDR_HI, value);
		break;
	case HEARTH_REG_FW_SIZE:
		r->fw_size = value;
		break;
	case HEARTH_REG_BOOT_ARGS_LO:
	case HEARTH_REG_BOOT_ARGS_HI:
		set_half(&r->boot_args, offset == HEARTH_REG_BOOT_ARGS_HI, value);
		break;
	case HEARTH_REG_IRQ_STATUS:
		r->irq_status &= ~value;
		break;
	case HEARTH_REG_IRQ_ENABLE:
		write_irq_enable(npu, value);
		break;
	}
}

/* A reset by register keeps what PCI knows: bus master, interrupts. */
static void reset_by_register(struct npu *npu)
{
	npu_log(npu, "reset: register");
	vfu_dma_block(&npu->vfu.dma, true);
	npu_reset(npu);
	vfu_update_dma(&npu->vfu);
}

static void write_reg(struct npu *npu, uint64_t offset, uint32_t value)
{
	if (offset == HEARTH_REG_CTRL && (value & HEARTH_CTRL_RESET)) {
		reset_by_register(npu);
		return;
	}
	pthread_mutex_lock(&npu->lock);
	write_locked(npu, offset, value);
	pthread_mutex_unlock(&npu->lock);
}

void npu_bar_write(void *device, unsigned int bar, uint64_t offset,
		   unsigned int bytes, uint64_t value)
{
	struct npu *npu = device;

	if (bytes < 4 || offset % bytes)
		return;
	if (bar == HEARTH_BAR_DOORBELL) {
		if (!(offset % HEARTH_DOORBELL_STRIDE))
			npu_doorbell(npu, offset / HEARTH_DOORBELL_STRIDE);
		return;
	}
	if (bar != HEARTH_BAR_REGS)
		return;
	write_reg(npu, offset, value);
	if (bytes == 8)
		write_reg(npu, offset + 4, value >> 32);
}
