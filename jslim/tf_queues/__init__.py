"""TF-Slim's queues, readers and data set provider, for programs that are written with them.

Training needs none of them: `slim.data.batches` has an order that depends on the seed alone, and a
position that is saved. They are there as `slim.queues`, `slim.prefetch_queue`,
`slim.parallel_reader`, `slim.dataset_data_provider` and `slim.dataset`.
"""
