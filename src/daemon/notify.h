/* notify.h - what systemd is told: READY, RELOADING, STOPPING, STATUS, WATCHDOG. */
#pragma once

#include "guardian/holder.h"
#include "supervisor/supervisor.h"

struct notifier;

int notifier_new(struct supervisor *s, struct holder *h, struct notifier **ret);
void notifier_free(struct notifier *n);
void notifier_ready(struct notifier *n);
void notifier_reloading(struct notifier *n);
void notifier_stopping(struct notifier *n);
/* A process changed its state: STATUS follows soon, not each time. */
void notifier_changed(struct notifier *n);
