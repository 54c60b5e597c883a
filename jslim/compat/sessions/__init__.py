"""Sessions for loops by hand: a train op, and the state that it goes on with.

`jslim port` writes these names in place of TensorFlow's, so that a loop keeps its form:

    saver = sessions.Saver()
    with sessions.TrainSession(train_op) as sess:
        for step in range(1000):
            _, loss = sess.run([train_op, 'model_loss'], feed_dict={'images': images})
        saver.save(sess, 'runs/old/model.ckpt', global_step=step)

What is fetched are names of outputs of the loss function, what is fed is its batch. A new program
has less to wait for with `state, outputs = train_op(state, batch)`.
"""

from jslim.compat.sessions._feeding import fed as fed
from jslim.compat.sessions._feeding import feeding as feeding
from jslim.compat.sessions._fetches import GLOBAL_STEP as GLOBAL_STEP
from jslim.compat.sessions._fetches import SUMMARIES as SUMMARIES
from jslim.compat.sessions._saver import Later as Later
from jslim.compat.sessions._saver import Saver as Saver
from jslim.compat.sessions._saver import assign_from_checkpoint_fn as assign_from_checkpoint_fn
from jslim.compat.sessions._saver import get_model_variables as get_model_variables
from jslim.compat.sessions._saver import get_trainable_variables as get_trainable_variables
from jslim.compat.sessions._saver import get_variables_to_restore as get_variables_to_restore
from jslim.compat.sessions._saver import init_later as init_later
from jslim.compat.sessions._session import Batch as Batch
from jslim.compat.sessions._session import Then as Then
from jslim.compat.sessions._session import TrainSession as TrainSession
from jslim.compat.sessions._supervisor import FileWriter as FileWriter
from jslim.compat.sessions._supervisor import Supervisor as Supervisor
from jslim.compat.sessions._training import train as train
