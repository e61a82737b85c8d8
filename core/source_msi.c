/* SPDX-License-Identifier: MIT */
/* Message-signalled interrupts: a source at the head of the interrupt's path, before route.c. */
#include "core/route.h"

#define MSI_DATA_VECTOR_MASK    0xffu
#define MSI_DATA_DELIVERY_SHIFT 8

/* SDM vol. 3, "Message Data Register Format": 110B is reserved, unlike in the ICR. */
static uint8_t decode_delivery(uint32_t data)
{
	uint8_t delivery = data >> MSI_DATA_DELIVERY_SHIFT & 7;

	return delivery == APIC_DELIVERY_STARTUP ? APIC_DELIVERY_RESERVED : delivery;
}

bool source_msi_decode(const struct ph_vm *vm, const struct ph_msi *msi, struct message *message)
{
	uint32_t low = (uint32_t)msi->address;

	if (msi->address >> 20 != MSI_ADDRESS_BASE >> 20)
		return false;
	*message = (struct message){
	    .destination = low >> MSI_ADDRESS_DEST_SHIFT & 0xff,
	    .vector = msi->data & MSI_DATA_VECTOR_MASK,
	    .delivery = decode_delivery(msi->data),
	    .is_logical = (low & MSI_ADDRESS_LOGICAL) != 0,
	    .is_level = (msi->data & MSI_DATA_LEVEL) != 0,
	    .is_redirectable = (low & MSI_ADDRESS_REDIRECT) != 0,
	    .source = PH_SOURCE_MSI,
	};
	if (vm->config.extended_dest_id)
		message->destination |= (low >> MSI_ADDRESS_EXT_SHIFT & 0x7f) << 8;
	return true;
}

int ph_msi_post(struct ph_vm *vm, const struct ph_msi *msi)
{
	struct message message;

	if (!source_msi_decode(vm, msi, &message))
		return PH_EINVAL;
	/* The end of a level is no interrupt. */
	if (message.is_level && !(msi->data & MSI_DATA_ASSERT))
		return 0;
	return (int)route_deliver(vm, NULL, &message);
}
