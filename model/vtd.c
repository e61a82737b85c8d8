/* SPDX-License-Identifier: MIT */
/* A device's interrupt on its way through VT-d interrupt posting. */
#include "model/model.h"

bool model_vtd_post(struct pid *pid, uint8_t vector, uint8_t *nv, uint32_t *ndst)
{
	bool is_sent = !(pid->control & (PID_ON | PID_SN));

	pid->pir[vector / 64] |= 1ull << (vector % 64);
	if (!is_sent)
		return false;
	pid->control |= PID_ON;
	*nv = (uint8_t)((pid->control & PID_NV_MASK) >> PID_NV_SHIFT);
	*ndst = (uint32_t)((pid->control & PID_NDST_MASK) >> PID_NDST_SHIFT);
	return true;
}
