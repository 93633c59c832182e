/* SPDX-License-Identifier: Apache-2.0 */
/* What proto_host.c and proto_product.c share. */
#ifndef CT_PLUG_PROTO_H
#define CT_PLUG_PROTO_H

struct channel;
struct cleat_chan;
struct cleat_self;

/* A `struct cleat_chan *` is a `struct channel *` under the plugin's name. */
struct channel *proto_channel(const struct cleat_chan *);
struct cleat_chan *proto_chan(struct channel *);
struct cleat_self *proto_self(const struct channel *);

/* Fills the product half of self->proto. */
void proto_product_init(struct cleat_self *);

#endif
