"""Names and arguments before TensorFlow 1.0, which the oracle does not have, and today's."""

BEFORE_1 = {
    **{
        f"tf.{old}(m)": f"tf.{new}(m)"
        for old, new in {"neg": "negative", "inv": "reciprocal", "complex_abs": "abs"}.items()
    },
    "tf.mul(m, p, name='a')": "tf.multiply(m, p)",
    "tf.sub(m, p[0])": "tf.subtract(m, p[0])",
    "tf.pack([m, p], axis=1)": "tf.stack([m, p], axis=1)",
    "tf.unpack(m, 3)": "tf.unstack(m, 3)",
    "tf.select(b, m, p)": "tf.where(b, m, p)",
    "tf.select([True, False, True], t=m, e=p)": "tf.where([True, False, True], m, p)",
    "tf.listdiff([4, 2, 4, 1], [2])": "tf.setdiff1d([4, 2, 4, 1], [2])",
    "tf.batch_matmul(x, x, adj_y=True)": "tf.matmul(x, x, adjoint_b=True)",
    "tf.batch_matmul(x, x, True)": "tf.matmul(x, x, adjoint_a=True)",
    "tf.batch_matrix_inverse([sq])": "tf.matrix_inverse([sq])",
    "tf.batch_matrix_transpose(x)": "tf.matrix_transpose(x)",
    "tf.batch_matrix_band_part(n, 1, 0)": "tf.matrix_band_part(n, 1, 0)",
    "tf.concat(1, [m, p])": "tf.concat([m, p], 1)",
    "tf.concat(concat_dim=1, values=[m, p])": "tf.concat([m, p], 1)",
    "tf.split(1, 2, m)": "tf.split(m, 2, 1)",
    "tf.split(split_dim=1, num_split=2, value=m)": "tf.split(m, 2, 1)",
    "tf.reverse(x, [False, True, False, True])": "tf.reverse(x, [1, 3])",
    "tf.argmin(m, dimension=1)": "tf.argmin(m, 1)",
    "tf.nn.softmax_cross_entropy_with_logits(m, z)": "tf.nn.softmax_cross_entropy_with_logits(labels=z, logits=m)",
    "tf.nn.sparse_softmax_cross_entropy_with_logits(m, k, name='a')": "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=k, logits=m)",
    "tf.nn.sigmoid_cross_entropy_with_logits(m, targets=p)": "tf.nn.sigmoid_cross_entropy_with_logits(labels=p, logits=m)",
    "tf.nn.sigmoid_cross_entropy_with_logits(m, p)": "tf.nn.sigmoid_cross_entropy_with_logits(labels=p, logits=m)",
    "tf.image.resize_images(x, 7, 4)": "tf.image.resize_images(x, [7, 4])",
    "tf.image.resize_images(x, 7, 4, 1, True)": "tf.image.resize_images(x, [7, 4], 1, True)",
    "tf.image.resize_images(x, 7, 4, align_corners=True)": "tf.image.resize_images(x, [7, 4], align_corners=True)",
    "tf.image.per_image_whitening(x[0])": "tf.image.per_image_standardization(x[0])",
}
# Rows of the table for the oracle.
TODAY = {f"before 1.0: {old}": today for old, today in BEFORE_1.items()}
